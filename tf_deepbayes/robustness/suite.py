"""What a robustness evaluation is of: its settings, the classifier, an attack on it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.attacks.ball import check_norm
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.white_box.matching import GuideImages
from tf_deepbayes.core.axes import Array, LogitsFn
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_eps, check_pixels
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.evaluation.runner import Reseed
from tf_deepbayes.evaluation.scoring import EVAL_DRAWS, EvaluationSet, draw_logits
from tf_deepbayes.robustness.budgets import OF_NETWORKS, Budget

VICTIM, LABEL_ONLY, SUBSTITUTE = "victim", "label_only", "substitute"
SQUARE = "square"
# Logits that differ by less than this relative amount are the same draw, rounded differently.
ROUNDING = 1e-5


@dataclasses.dataclass(frozen=True)
class SuiteAttack:
    """One attack of an evaluation.

    Attributes:
        name: unique in the evaluation.
        eps: the eps that it is called with.
        source: the classifier whose gradients it follows, a key of `Defence.sources`.
        given: whether it is the caller's own instead of one of the set.
    """

    name: str
    attack: Attack
    eps: float
    source: str = VICTIM
    given: bool = False


def ball(eps: float, norm: float) -> str:
    """The ball in words: eps 0.1 (l∞)."""
    return f"eps {eps:.3g} ({'l2' if norm == 2 else 'l∞'})"


def is_sampled(logits_fn: LogitsFn, x: Array, batch_size: int) -> bool:
    """Whether two calls on the same images give different logits."""
    first, second = draw_logits(logits_fn, x[:batch_size], 2, batch_size)
    return not np.allclose(first, second, rtol=ROUNDING, atol=ROUNDING)


@dataclasses.dataclass(frozen=True)
class Defence:
    """The classifier under evaluation.

    Attributes:
        target: images, labels and the classifier to be fooled; untargeted.
        sources: "victim" and, if available, "label_only" (log p(y|·) alone) and "substitute".
        samples: whether its logits differ between draws.
        batch_size: images at a time.
        guides: clean images to imitate.
        detectors: fitted detectors, to be evaded as well.
        reseed: see `runner.run`.
        norm: norm of the ball, np.inf or 2.
    """

    target: EvaluationSet
    sources: Mapping[str, ModelAccess]
    samples: bool
    batch_size: int
    guides: GuideImages | None = None
    detectors: Mapping[str, Detector] = dataclasses.field(default_factory=dict)
    reseed: Reseed = lambda number: None
    norm: float = np.inf

    @classmethod
    def of(
        cls,
        plan: "EvaluationSettings",
        logits_fn: LogitsFn,
        sources: Mapping[str, ModelAccess],
        x: Array,
        y: Array,
    ) -> "Defence":
        """The classifier, with the plan's number of draws if it samples, else one draw.

        Raises:
            InputError: pixels outside [0, 1], labels that do not fit, or probabilities.
        """
        size, x = plan.batch_size, check_pixels(x)
        samples = is_sampled(logits_fn, x, size)
        draws = plan.budget.draws if samples else 1
        target = EvaluationSet.of(logits_fn, x, y, batch_size=size, draws=draws)
        return cls(target, sources, samples, size, norm=plan.norm)


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """An evaluation's settings.

    Attributes:
        eps: radius of the ball, in pixels, above 0; in l∞ up to 1.
        eot: gradients averaged per step on a classifier that samples.
        check_images: images for the extra attacks that only the checks need.
        eval_draws: draws of the classifier's noise that the worst case is scored on.
        seed: seed of the first random start and of the other attacks' draws.
        lazy_classes: steps of PGD, MIM and Carlini-Wagner between evaluations of classes far from
            the top, see `IterativeAttack`; 0: all classes in each step.
        norm: norm of the ball, np.inf or 2.
    """

    budget: Budget
    eps: float
    eot: int = 2
    batch_size: int = 50
    check_images: int = 50
    eval_draws: int = EVAL_DRAWS
    seed: int = 0
    lazy_classes: int = 0
    norm: float = np.inf

    def __post_init__(self) -> None:
        check_norm(self.norm)
        if not 0.0 < check_eps(self.eps) <= (1.0 if self.norm == np.inf else np.inf):
            limit = " and up to 1" if self.norm == np.inf else ""
            raise InputError(f"eps must be above 0{limit}, got {self.eps}")
        for name in ("eot", "batch_size", "check_images", "eval_draws"):
            check_count(name, getattr(self, name))
        check_count("lazy_classes", self.lazy_classes, minimum=0)

    def settings(self, samples: bool) -> dict[str, Any]:
        """Every setting that results of a classifier that samples, or does not, depend on."""
        found = dataclasses.asdict(self)
        budget = found["budget"]
        for name in OF_NETWORKS if samples else ():
            del budget[name]
        return found if found.pop("norm") == np.inf else found | {"norm": self.norm}

    def on_survivors(self, defence: Defence) -> bool:
        """Whether each attack is run only on the images that all before it left."""
        return self.budget.survivors and not defence.samples
