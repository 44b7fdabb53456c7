"""Thresholds of detectors: the published search for α, and quantiles."""

from collections.abc import Callable

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError

# The published search for α: bisection of [0, 3], to within 0.01% of the requested rate.
ALPHA_MAX, ALPHA_STEPS, RATE_TOLERANCE = 3.0, 20, 1e-4


def moments(scores: Array) -> tuple[np.floating, np.floating]:
    """(mean, standard deviation); exactly (score, 0) if all scores are equal, despite rounding."""
    if np.ptp(scores) == 0.0:
        return scores[0], np.zeros_like(scores[0])
    return scores.mean(), scores.std()


def published_threshold(scores: Array, false_positive_rate: float) -> tuple[float, float]:
    """mean + α·std with α in [0, 3] by bisection: (threshold, α).

    If the rate jumps past the requested one, the search ends at the jump, on either side. If no α
    in [0, 3] has the requested rate, it ends at 0 or 3, with a different rate.
    """
    mean, std = moments(scores)
    low, high, alpha = 0.0, ALPHA_MAX, ALPHA_MAX / 2
    for _ in range(ALPHA_STEPS):
        rate = np.mean(scores > mean + alpha * std)
        if abs(rate - false_positive_rate) <= RATE_TOLERANCE:
            break
        low, high = (alpha, high) if rate > false_positive_rate else (low, alpha)
        alpha = (low + high) / 2
    return float(mean + alpha * std), alpha


def quantile_threshold(scores: Array, false_positive_rate: float) -> tuple[float, float]:
    """The smallest score that at most this share of the scores exceeds: (threshold, α).

    Without ties, the share that exceeds it is within 1/n of the requested rate.
    """
    # Rounded, because 0.29 · 100 is 28.999999999999996, but 29 of 100 may exceed it.
    may_exceed = int(np.floor(round(false_positive_rate * len(scores), 9)))
    threshold = float(np.sort(scores)[max(len(scores) - 1 - may_exceed, 0)])
    mean, std = moments(scores)
    return threshold, float((threshold - mean) / std) if std > 0 else 0.0


THRESHOLDS: dict[str, Callable[[Array, float], tuple[float, float]]] = {
    "published": published_threshold,
    "quantile": quantile_threshold,
}


def check_rate(false_positive_rate: float) -> None:
    """InputError unless the false-positive rate is strictly between 0 and 1."""
    if not 0.0 < false_positive_rate < 1.0:
        raise InputError(f"false_positive_rate must be in (0, 1), got {false_positive_rate}")
