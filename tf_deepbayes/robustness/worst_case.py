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
from tf_deepbayes.evaluation.runner import SCORING, AttackResult, Reseed
from tf_deepbayes.evaluation.scoring import EvaluationSet, draw_logits, score

WORST_CASE = SCORING - 1  # noise number for scoring the chosen images
SLACK = 1e-5  # float32 rounding at the ball's edge


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Attacked images `[N, …]` and their logits `[R, N, C]` in the draws used for choosing."""

    name: str
    images: Array
    draws: Array


def mean_margin(labels: Array, draws: Array) -> Array:
    """Largest other logit minus the label's, mean over the draws `[R, N, C]` → `[N]`, nats."""
    is_label = labels[:, None] == np.arange(draws.shape[-1])
    own = np.where(is_label, draws, 0.0).sum(-1)
    return (np.where(is_label, -np.inf, draws).max(-1) - own).mean(0)


def choose(target: EvaluationSet, eps: float, candidates: Sequence[Candidate]) -> Array:
    """The index of each image's worst candidate, `[N]`; images outside the ball are excluded."""

    def strength(candidate: Candidate) -> Array:
        size = metrics.perturbation_norms(target.images, candidate.images)["linf"]
        return np.where(size <= eps + SLACK, mean_margin(target.labels, candidate.draws), -np.inf)

    return np.stack([strength(candidate) for candidate in candidates]).argmax(0)


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
    eps: float,
    candidates: Sequence[Candidate],
    draws: int,
    batch_size: int,
    reseed: Reseed,
) -> AttackResult:
    """Each image's worst candidate, scored on fresh draws.

    Returns:
        Its figures are those of `score` and `with_robust_accuracy`, and `chosen`, the number of
        images for which each candidate is the worst.
    """
    chosen = choose(target, eps, candidates)
    images = np.stack([c.images for c in candidates])[chosen, np.arange(len(chosen))]
    reseed(WORST_CASE)
    logits = draw_logits(target.logits_fn, images, draws, batch_size)
    counts = np.bincount(chosen, minlength=len(candidates)).tolist()
    names = [candidate.name for candidate in candidates]
    figures = with_robust_accuracy(target, score(target, images, logits))
    return AttackResult(images, logits, figures | {"chosen": dict(zip(names, counts, strict=True))})
