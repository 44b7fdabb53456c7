"""The standard set of attacks of a robustness evaluation, sized by a budget.

Strong gradient attacks with losses whose gradients do not vanish, a gradient-free search, and
attacks adapted to the classifier, because a defence is only as strong as its weakest spot (Carlini
et al. 2019; Tramèr et al. 2020). Every attack is on the l∞ ball.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tf_deepbayes.attacks.access import LazyLogits, ModelAccess
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.black_box.square import Square
from tf_deepbayes.attacks.white_box.bounded import Bounded
from tf_deepbayes.attacks.white_box.carlini_wagner import CarliniWagnerL2
from tf_deepbayes.attacks.white_box.matching import GuideImages, LogitMatching
from tf_deepbayes.attacks.white_box.pgd import MIM, PGD
from tf_deepbayes.attacks.white_box.superwhite import Superwhite
from tf_deepbayes.core.axes import Array, LogitsFn
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_eps
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.evaluation.runner import Reseed
from tf_deepbayes.evaluation.scoring import EVAL_DRAWS, EvaluationSet, draw_logits
from tf_deepbayes.robustness.budgets import Budget

VICTIM, LABEL_ONLY, SUBSTITUTE = "victim", "label_only", "substitute"
SQUARE = "square"
# Steps of 2.5 eps / nb_iter reach every point of the ball from any other, and overshoot little
# (Mądry et al. 2018).
REACH = 2.5
# Weight of the logits in the Carlini-Wagner attack: the ball bounds the perturbation, not c.
CW_C, CW_LEARNING_RATE = 10.0, 0.05
# Logits that differ by less than this relative amount are the same draw, rounded differently.
ROUNDING = 1e-5


@dataclasses.dataclass(frozen=True)
class SuiteAttack:
    """One attack of an evaluation.

    Attributes:
        name: unique in the evaluation.
        eps: the l∞ eps that it is called with.
        source: the classifier whose gradients it follows, a key of `Defence.sources`.
    """

    name: str
    attack: Attack
    eps: float
    source: str = VICTIM


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
    """

    target: EvaluationSet
    sources: Mapping[str, ModelAccess]
    samples: bool
    batch_size: int
    guides: GuideImages | None = None
    detectors: Mapping[str, Detector] = dataclasses.field(default_factory=dict)
    reseed: Reseed = lambda number: None

    @classmethod
    def of(
        cls,
        plan: "EvaluationSettings",
        logits_fn: LogitsFn,
        sources: Mapping[str, ModelAccess],
        x: Array,
        y: Array,
    ) -> "Defence":
        """The classifier, with the plan's number of draws if it samples, else one draw."""
        size = plan.batch_size
        samples = is_sampled(logits_fn, x, size)
        draws = plan.budget.draws if samples else 1
        target = EvaluationSet.of(logits_fn, x, y, batch_size=size, draws=draws)
        return cls(target, sources, samples, size)


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """An evaluation's settings.

    Attributes:
        eps: radius of the l∞ ball, in pixels, above 0 and up to 1.
        eot: gradients averaged per step on a classifier that samples.
        check_images: images for the extra attacks that only the checks need.
        eval_draws: draws of the classifier's noise that the worst case is scored on.
        seed: seed of the first random start and of the other attacks' draws.
        lazy_classes: steps of PGD, MIM and Carlini-Wagner between evaluations of classes far from
            the top, see `IterativeAttack`; 0: all classes in each step.
    """

    budget: Budget
    eps: float
    eot: int = 2
    batch_size: int = 50
    check_images: int = 50
    eval_draws: int = EVAL_DRAWS
    seed: int = 0
    lazy_classes: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < check_eps(self.eps) <= 1.0:
            raise InputError(f"eps must be above 0 and up to 1, got {self.eps}")
        for name in ("eot", "batch_size", "check_images", "eval_draws"):
            check_count(name, getattr(self, name))
        check_count("lazy_classes", self.lazy_classes, minimum=0)

    def pgd(self, eps: float, nb_iter: int, kind: type[PGD] = PGD, **options: Any) -> PGD:
        """PGD on log odds from a random start, with steps that fit the ball."""
        chosen: dict[str, Any] = {"loss": "log_odds", "seed": self.seed}
        if kind is PGD:  # the others use every sample or distances, not only logits
            chosen["lazy_classes"] = self.lazy_classes
        step = REACH * eps / nb_iter
        return kind(
            nb_iter=nb_iter, eps_iter=step, batch_size=self.batch_size, **(chosen | options)
        )

    def restart(self, number: int, samples: bool) -> SuiteAttack:
        """The main attack from random start `number`."""
        eot, seed = self.eot if samples else 1, self.seed + number
        attack = self.pgd(self.eps, self.budget.nb_iter, eot=eot, seed=seed)
        return SuiteAttack(f"pgd_log_odds_{number}", attack, self.eps)

    def square(self) -> SuiteAttack:
        """The gradient-free search."""
        size = self.budget.square_iter
        attack = Square(nb_iter=size, batch_size=self.batch_size, seed=self.seed)
        return SuiteAttack(SQUARE, attack, self.eps)

    def standard_set(self, defence: Defence) -> tuple[list[SuiteAttack], dict[str, str]]:
        """The attacks that apply, and {name: reason} for those left out."""
        restarts = [self.restart(i, defence.samples) for i in range(self.budget.restarts)]
        found = dict(self._others(defence))
        components = [c for c in found.values() if isinstance(c, SuiteAttack)]
        return restarts + components, {n: c for n, c in found.items() if isinstance(c, str)}

    def _others(self, defence: Defence) -> Iterator[tuple[str, SuiteAttack | str]]:
        """(name, the component or the reason it is left out)."""
        parts = {"margin": self._margin, "mim": self._mim, "cw": self._cw}
        for name, make in parts.items():
            yield name, make()
        yield SQUARE, self.square()
        yield "superwhite", self._snapshot(defence)
        for name, detector in defence.detectors.items():
            yield f"superwhite_{name}", self._past(name, detector, defence)
        yield LABEL_ONLY, self._label_only(defence)
        yield "matching", self._matching(defence)
        yield "transfer", self._transfer(defence)

    def _margin(self) -> SuiteAttack:
        attack = self.pgd(self.eps, self.budget.nb_iter, loss="margin")
        return SuiteAttack("pgd_margin", attack, self.eps)

    def _mim(self) -> SuiteAttack | str:
        size = self.budget.momentum_iter
        if not size:
            return "not in this budget"
        step = REACH * self.eps / size
        attack = MIM(
            nb_iter=size,
            eps_iter=step,
            loss="log_odds",
            batch_size=self.batch_size,
            lazy_classes=self.lazy_classes,
        )
        return SuiteAttack("mim", attack, self.eps)

    def _cw(self) -> SuiteAttack | str:
        size, batch_size = self.budget.cw_iter, self.batch_size
        if not size:
            return "not in this budget"
        inside = CarliniWagnerL2(
            nb_iter=size,
            learning_rate=CW_LEARNING_RATE,
            batch_size=batch_size,
            lazy_classes=self.lazy_classes,
        )
        return SuiteAttack("cw", Bounded(attack=inside, size=CW_C, batch_size=batch_size), self.eps)

    def _snapshot(self, defence: Defence) -> SuiteAttack | str:
        if defence.sources[VICTIM].log_weights is None or not defence.samples:
            return "the classifier does not sample"
        if not self.budget.snapshot:
            return "not in this budget"
        attack = self.pgd(self.eps, self.budget.nb_iter, Superwhite, snapshot=True)
        return SuiteAttack("superwhite", attack, self.eps)

    def _past(self, name: str, detector: Detector, defence: Defence) -> SuiteAttack | str:
        if defence.sources[VICTIM].log_weights is None:
            return "the classifier gives no log weights"
        options = {"snapshot": defence.samples, "detector": detector}
        attack = self.pgd(self.eps, self.budget.nb_iter, Superwhite, **options)
        return SuiteAttack(f"superwhite_{name}", attack, self.eps)

    def _label_only(self, defence: Defence) -> SuiteAttack | str:
        if LABEL_ONLY not in defence.sources:
            return "the classifier has no factor p(y|·)"
        attack = self.restart(0, defence.samples).attack
        return SuiteAttack(LABEL_ONLY, attack, self.eps, LABEL_ONLY)

    def _matching(self, defence: Defence) -> SuiteAttack | str:
        if not self.budget.pool_size:
            return "not in this budget"
        if defence.guides is None or len(set(defence.guides.labels.tolist())) < 2:
            return "no images of two classes to imitate"
        attack = self.pgd(self.eps, self.budget.nb_iter, LogitMatching, guides=defence.guides)
        return SuiteAttack("matching", attack, self.eps)

    def _transfer(self, defence: Defence) -> SuiteAttack | str:
        if SUBSTITUTE not in defence.sources:
            return "no substitute given"
        lazy = isinstance(defence.sources[SUBSTITUTE].logits, LazyLogits)
        options: dict[str, Any] = {} if lazy else {"lazy_classes": 0}
        attack = self.pgd(self.eps, self.budget.nb_iter, **options)
        return SuiteAttack("transfer", attack, self.eps, SUBSTITUTE)
