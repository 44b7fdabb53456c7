"""The worst attack on each image, chosen on some draws of the noise and scored on others.

Of many attacks on a classifier that samples, one succeeds by luck. An image's worst attack is
therefore the one with the largest average margin over some draws, and it is scored on other draws
that had no part in the choice.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.evaluation.runner import SCORING, AttackResult, Reseed
from tf_deepbayes.evaluation.scoring import EvaluationSet, draw_logits, score
from tf_deepbayes.robustness.comparisons import broken
from tf_deepbayes.robustness.suite import SuiteAttack

WORST_CASE = SCORING - 1  # noise number for scoring the chosen images
SLACK = 1e-5  # float32 rounding at the ball's edge, in pixels and as a share of the radius


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Attacked images `[N, …]` and their logits `[R, N, C]` in the draws used for choosing.

    Attributes:
        component: the attack that made them; None for unperturbed images.
    """

    name: str
    images: Array
    draws: Array
    component: SuiteAttack | None = None


def mean_margin(labels: Array, draws: Array) -> Array:
    """Largest other logit minus the label's, mean over the draws `[R, N, C]` → `[N]`, nats."""
    is_label = labels[:, None] == np.arange(draws.shape[-1])
    own = np.where(is_label, draws, 0.0).sum(-1)
    return (np.where(is_label, -np.inf, draws).max(-1) - own).mean(0)


def check_in_ball(component: SuiteAttack, images: Array, adversarial: Array, norm: float) -> None:
    """An error unless every attacked image is in the component's ball and a picture.

    An image outside would say nothing about the ball; leaving it out would hide a faulty attack.

    Raises:
        InputError: the attack is the caller's.
        RuntimeError: it is one of ours, and the fault, too.
    """
    norms = metrics.perturbation_norms(images, adversarial)
    size = float(norms["l2" if norm == 2 else "linf"].max(initial=0.0))
    low, high = float(adversarial.min(initial=0.0)), float(adversarial.max(initial=0.0))
    inside = size <= component.eps * (1.0 + SLACK) + SLACK
    if inside and low >= -SLACK and high <= 1.0 + SLACK:
        return
    name, ball = component.name, f"{'l2' if norm == 2 else 'l∞'} ball of radius {component.eps:g}"
    said = f"attack {name} left the {ball}: it moved an image by {size:.4g}"
    said = said if not inside else f"attack {name} made pixels from {low:.4g} to {high:.4g}"
    if component.given:
        raise InputError(f"{said}; give an attack of that ball, or put it in Bounded")
    raise RuntimeError(f"{said}; this is a fault of tf_deepbayes, and no result is written")


def choose(target: EvaluationSet, candidates: Sequence[Candidate]) -> Array:
    """The index of each image's worst candidate, the one with the largest mean margin, `[N]`."""
    margins = [mean_margin(target.labels, candidate.draws) for candidate in candidates]
    return np.stack(margins).argmax(0)


def first_broken_by(target: EvaluationSet, candidates: Sequence[Candidate]) -> list[str | None]:
    """The first candidate that most of its draws misclassify, for each image; None: none does.

    The first candidate is the unperturbed image, so that images wrong before any attack have its
    name.
    """
    wrong = np.stack([broken(target.labels, candidate.draws) for candidate in candidates])
    names = [candidate.name for candidate in candidates]
    first = wrong.argmax(0)
    return [names[i] if wrong[i, image] else None for image, i in enumerate(first)]


def with_robust_accuracy(target: EvaluationSet, figures: dict[str, Any]) -> dict[str, Any]:
    """The figures of `score`, plus the robust accuracy over all images.

    `robust_accuracy` is the share of all images that were right before the attack and still are,
    averaged over the draws, with its 95% interval over images.
    """
    rate, count = figures["success_rate"] or 0.0, len(target.labels)
    robust = float(target.counted.mean()) * (1.0 - rate)
    interval = metrics.confidence_interval(robust, count)
    return figures | {"robust_accuracy": robust, "robust_accuracy_interval": interval}


def worst_case(
    target: EvaluationSet,
    candidates: Sequence[Candidate],
    draws: int,
    batch_size: int,
    reseed: Reseed,
) -> AttackResult:
    """Each image's worst candidate, scored on fresh draws.

    Returns:
        Its figures are those of `score` and `with_robust_accuracy`; `chosen`, the number of
        images for which each candidate is the worst; `first_broken_by`, a name for each image, see
        `first_broken_by`.
    """
    chosen = choose(target, candidates)
    images = np.stack([c.images for c in candidates])[chosen, np.arange(len(chosen))]
    reseed(WORST_CASE)
    logits = draw_logits(target.logits_fn, images, draws, batch_size)
    counts = np.bincount(chosen, minlength=len(candidates)).tolist()
    names = [candidate.name for candidate in candidates]
    figures = with_robust_accuracy(target, score(target, images, logits))
    figures |= {"chosen": dict(zip(names, counts, strict=True))}
    figures["first_broken_by"] = first_broken_by(target, candidates)
    return AttackResult(images, logits, figures)
