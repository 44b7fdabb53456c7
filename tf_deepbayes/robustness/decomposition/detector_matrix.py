"""Every detector against every attack, those made to evade another detector included."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.detection.roc import roc


def detector_matrix(
    detectors: Mapping[str, Detector],
    clean: Array,
    labels: Array,
    attacked: Mapping[str, Array],
) -> dict[str, Any]:
    """The matrix, and its worst row and column.

    Args:
        clean: logits of the clean images, `[N, C]`.
        labels: true classes `[N]`.
        attacked: logits of each attack's images, `[N, C]`.

    Returns:
        `cells`: a row for each attack and detector: `success`, share of the images misclassified;
        `detected`, share of those that are rejected, None without any; `undetected`, share of all
        images misclassified and passed; `auroc`, see `joint_curve`, and `joint`, the curve.
        `worst_attack` has the largest mean of `undetected` over detectors, `worst_detector` over
        attacks; None without detectors. `false_positives`: share of the clean images rejected.
    """
    cells = [
        {"attack": attack, "detector": name} | _cell(detector, clean, labels, logits)
        for attack, logits in attacked.items()
        for name, detector in detectors.items()
    ]
    return {
        "cells": cells,
        "worst_attack": _worst(cells, "attack"),
        "worst_detector": _worst(cells, "detector"),
        "false_positives": {n: float(d.reject(clean).mean()) for n, d in detectors.items()},
    }


def joint_curve(
    detector: Detector, clean: Array, labels: Array, logits: Array
) -> dict[str, list[float]]:
    """Clean images rejected against attacked ones that are misclassified and pass.

    One α for all thresholds mean + α·std sweeps from "nothing is rejected", where the second is the
    success of the attack, to "everything is". It joins success and detection: an attack that is
    caught because it does not fool the classifier gains nothing here.
    """
    fooled = logits.argmax(1) != labels
    scores = detector.standard_score(clean), detector.standard_score(logits)
    if not fooled.any():
        return {"false_positive_rate": [0.0, 1.0], "undetected": [0.0, 0.0]}
    curve = roc(scores[0], scores[1][fooled]).thinned(50)
    passes = fooled.mean() * (1.0 - curve.detection_rate)
    rates = {"false_positive_rate": curve.false_positive_rate, "undetected": passes}
    return {name: [float(value) for value in values] for name, values in rates.items()}


def _cell(detector: Detector, clean: Array, labels: Array, logits: Array) -> dict[str, Any]:
    fooled, rejected = logits.argmax(1) != labels, detector.reject(logits)
    scores = detector.standard_score(clean), detector.standard_score(logits)
    return {
        "success": float(fooled.mean()),
        "detected": float(rejected[fooled].mean()) if fooled.any() else None,
        "undetected": float(np.mean(fooled & ~rejected)),
        "auroc": roc(scores[0], scores[1][fooled]).auroc if fooled.any() else None,
        "joint": joint_curve(detector, clean, labels, logits),
    }


def _worst(cells: list[dict[str, Any]], axis: str) -> str | None:
    names = list(dict.fromkeys(cell[axis] for cell in cells))
    mean = lambda name: np.mean([c["undetected"] for c in cells if c[axis] == name])  # noqa: E731
    return max(names, key=mean) if names else None
