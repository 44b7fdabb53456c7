"""A decomposition as a page and as a picture: every part with its share, verdicts in words."""

from typing import Any

from matplotlib.patches import Rectangle

from tf_deepbayes.reporting.decomposition.figure import decomposition_figure
from tf_deepbayes.reporting.decomposition.scorecard import scorecard

PARTS = {"clean error": 0.1, "noise alone": 0.05, "broken": 0.5, "margin": 0.35}
WORST = {"robust_accuracy": 0.35, "robust_accuracy_interval": (0.3, 0.4)}


def found(samples: bool = True, detectors: bool = True) -> dict[str, Any]:
    def interval(share: float) -> list[float]:
        return [max(share - 0.05, 0.0), share + 0.05]

    parts = {name: {"share": s, "interval": interval(s)} for name, s in PARTS.items()}
    steps = {"name": "steps", "left_out": "", "sizes": [1, 20], "robust": [0.6, 0.4]}
    steps |= {"verdict": "not saturated: at least 0.050 more"}
    once = {"n": 10, "success": 0.7, "interval": interval(0.7)}
    vote = {"m": 3, "cost": 3, "accuracy": 0.4, "interval": interval(0.4)}
    cell = {"attack": "pgd", "detector": "kl", "success": 0.6, "detected": 0.2}
    cell |= {"undetected": 0.48, "auroc": 0.7}
    return {
        "eps": 0.1,
        "decomposition": {
            **{"verdict": "margin", "num_images": 100, "reported": 0.4, "parts": parts}
        },
        "curves": [steps, {"name": "queries", "left_out": "not in this budget"}],
        "noise": {"samples": samples, "known": False, "limit": "mean p of 64 calls"},
        "resubmission": {**{"draws": 20 if samples else 1, "submissions": [once], "votes": [vote]}},
        "audit": {
            "zero_gradients": {"cross_entropy": 0.25},
            "derivatives": {"agree": 0.95, "precision": "float64"},
            "cosines": [{"K": 10, "cosine": 0.3, "smallest_eot": None}],
        },
        "detectors": {
            "cells": [cell] if detectors else [],
            "worst_attack": "pgd",
            "worst_detector": "kl",
        },
    }


def test_the_page_says_every_part_and_every_verdict() -> None:
    page = scorecard(found(), "linf 0.1", WORST)
    for text in (
        "| broken | 0.500 (0.450 to 0.550) |",
        "1: 0.600, 20: 0.400 | not saturated: at least 0.050 more",
        "| queries | not in this budget |",
        "10 submissions, one succeeds | 0.700",
        "its noise could not be fixed",
        "EOT for .9: more than any",
        "lets most pass is kl",
    ):
        assert text in page, text


def test_a_classifier_without_noise_and_detectors_has_a_shorter_page() -> None:
    page = scorecard(found(samples=False, detectors=False), "linf 0.1", WORST)
    assert "gives the same answer" in page
    assert "samples;" not in page and "detector" not in page


def test_bars_add_up_and_curves_that_go_on_are_dashed() -> None:
    figure = decomposition_figure([found(), found()])
    bars, curves = figure.axes
    tops = [patch.get_bbox().y1 for patch in bars.patches if isinstance(patch, Rectangle)]
    assert max(tops) == 1.0 and len(bars.patches) == 2 * len(PARTS)
    assert [line.get_linestyle() for line in curves.lines] == ["--"]
    figure.draw_without_rendering()
