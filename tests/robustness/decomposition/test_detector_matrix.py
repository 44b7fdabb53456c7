"""Which attack passes which detector, and the worst row and column."""

import numpy as np
import pytest

from tf_deepbayes.detection import Logit, Marginal
from tf_deepbayes.robustness.decomposition.detector_matrix import detector_matrix, joint_curve

RANDOM = np.random.default_rng(0)
LABELS = np.arange(300) % 3


def logits_of(classes: np.ndarray, level: float, gap: float = 6.0) -> np.ndarray:
    """log p(x, y): the class is above the others by `gap`, all of them at `level`."""
    noise = RANDOM.normal(size=(len(classes), 3))
    return level + gap * np.eye(3)[classes] + noise


TRAIN, CLEAN = logits_of(LABELS, -10.0), logits_of(LABELS, -10.0)
DETECTORS = {kind.name: kind().fit(TRAIN, LABELS) for kind in (Marginal, Logit)}
OTHER = (LABELS + 1) % 3
ATTACKED = {
    "crude": logits_of(OTHER, -60.0),
    "imitator": logits_of(OTHER, -10.0),
    "failed": logits_of(LABELS, -10.0),
}


def test_the_imitator_is_worst() -> None:
    found = detector_matrix(DETECTORS, CLEAN, LABELS, ATTACKED)
    cells = {(cell["attack"], cell["detector"]): cell for cell in found["cells"]}
    assert len(cells) == 6 and found["worst_attack"] == "imitator"
    crude, passes = cells["crude", "marginal"], cells["imitator", "marginal"]
    assert crude["success"] > 0.99 and crude["detected"] == 1.0 and crude["undetected"] == 0.0
    assert crude["auroc"] == 1.0 and passes["auroc"] == pytest.approx(0.5, abs=0.1)
    assert passes["undetected"] == pytest.approx(passes["success"] * (1.0 - passes["detected"]))
    assert passes["undetected"] > 0.8 and cells["failed", "logit"]["success"] < 0.01
    assert all(rate < 0.1 for rate in found["false_positives"].values())
    assert found["worst_detector"] in DETECTORS


def test_the_joint_curve_ends_where_nothing_and_everything_is_rejected() -> None:
    curve = joint_curve(DETECTORS["marginal"], CLEAN, LABELS, ATTACKED["imitator"])
    assert curve["false_positive_rate"][0] == 0.0 and curve["undetected"][0] > 0.99
    assert curve["false_positive_rate"][-1] == 1.0 and curve["undetected"][-1] == 0.0
    assert (np.diff(curve["undetected"]) <= 1e-12).all()
    right = joint_curve(DETECTORS["marginal"], CLEAN, LABELS, logits_of(LABELS, 0.0, gap=30.0))
    assert right["undetected"] == [0.0, 0.0]


def test_without_detectors_there_is_no_worst() -> None:
    found = detector_matrix({}, CLEAN, LABELS, ATTACKED)
    assert found["cells"] == [] and found["worst_attack"] is None
