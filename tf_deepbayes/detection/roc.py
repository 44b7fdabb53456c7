"""ROC curves of detectors: attacked images against clean ones.

A detector has one threshold per class, and its scores are not comparable across classes. The curve
therefore uses `Detector.standard_score`: each point is the detector with thresholds
mean_c + α·std_c and one α for all classes, the published family swept over α. No rate has to be
chosen, only the mean and standard deviation of the training scores are needed, and for a detector
with one threshold it is the curve of the score itself. A fitted detector has its own α for each
class and lies near the curve, not on it.
"""

import dataclasses

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Roc:
    """Points of the curve from (0, 0) to (1, 1), both rates increasing: one per distinct score."""

    false_positive_rate: Array
    detection_rate: Array

    @property
    def auroc(self) -> float:
        """Area under the curve: P(attacked scores higher than clean) + ½ P(they are equal)."""
        return float(np.trapezoid(self.detection_rate, self.false_positive_rate))

    def thinned(self, max_points: int = 200) -> "Roc":
        """At most this many points, evenly spaced along the curve, including both ends."""
        along = self.false_positive_rate + self.detection_rate  # increases from 0 to 2
        rows = np.unique(np.searchsorted(along, np.linspace(0.0, along[-1], max_points)))
        return Roc(self.false_positive_rate[rows], self.detection_rate[rows])


def roc(clean: Array, attacked: Array) -> Roc:
    """The curve of "reject above a threshold" for scores `[N]` and `[M]`; high is suspicious.

    Raises:
        InputError: no clean or no attacked scores, or scores that are not finite.
    """
    if not len(clean) or not len(attacked):
        raise InputError(
            f"a ROC curve needs clean and attacked scores, got {len(clean)} and {len(attacked)}"
        )
    if not (np.isfinite(clean).all() and np.isfinite(attacked).all()):
        raise InputError("scores must be finite, got NaN or infinite values; drop those images")
    thresholds = np.unique(np.concatenate([clean, attacked]))[::-1]
    return Roc(_share_from(clean, thresholds), _share_from(attacked, thresholds))


def _share_from(scores: Array, thresholds: Array) -> Array:
    """0, then the share of the scores that are at least each threshold."""
    below = np.searchsorted(np.sort(scores), thresholds)
    return np.concatenate([[0.0], 1.0 - below / len(scores)])
