"""How a fitted detector fares on one saved attack."""

from typing import Any

import numpy as np

from tf_deepbayes.axes import Array
from tf_deepbayes.detection import Detector


def detection_figures(
    detector: Detector,
    clean_logits: Array,
    clean_labels: Array,
    adversarial_logits: Array,
    labels: Array,
    predicted: Array,
) -> dict[str, Any]:
    """How a fitted detector fares on one saved attack.

    Args:
        clean_logits: the guard's, of clean test images with `clean_labels`.
        adversarial_logits: the guard's, of the attacked images with true `labels`.
        predicted: the class that the victim gives each attacked image.

    Returns:
        `detection_rate`: share of the successful attacks (predicted ≠ label) that is rejected;
        `detection_rate_class_mean`: the published figure, unweighted mean over predicted classes;
        `false_positive_rate`: share of clean test images rejected; `misclassified_undetected`:
        share of all attacked images that fool the victim and pass; per class; the thresholds.
    """
    rejected = detector.reject(adversarial_logits, predicted)
    success = predicted != labels
    classes = range(clean_logits.shape[1])
    per_class = [_share(rejected, success & (predicted == c)) for c in classes]
    seen = [rate for rate in per_class if rate is not None]
    false_positives = detector.reject(clean_logits)
    return {
        "detector": detector.name,
        "threshold": detector.threshold,
        "detection_rate": _share(rejected, success),
        "detection_rate_class_mean": float(np.mean(seen)) if seen else None,
        "detection_rate_per_class": per_class,
        "false_positive_rate": float(false_positives.mean()),
        "false_positive_rate_per_class": [
            _share(false_positives, clean_labels == c) for c in classes
        ],
        "misclassified_undetected": float(np.mean(success & ~rejected)),
        "successful_attacks": int(success.sum()),
        "thresholds": np.asarray(detector.thresholds).tolist(),
        "alphas": np.asarray(detector.alphas).tolist(),
    }


def _share(hits: Array, among: Array) -> float | None:
    return float(hits[among].mean()) if among.any() else None
