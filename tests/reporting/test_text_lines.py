"""Figures as lines of text."""

from typing import Any

import pytest

from tf_deepbayes.reporting.text import attack_line

FIGURES: dict[str, Any] = {
    "success_rate": 0.5,
    "clean_accuracy": 0.75,
    "accuracy": 0.375,
    "perturbation": {"l2": {"mean": 1.234}},
    "zero_gradients": 0.0,
    "clean_prediction_changes": 0.1,
    "seconds": 7.4,
}


@pytest.mark.parametrize(("eps", "shown"), [(0.1, "0.1"), (2 / 255, "0.00784"), (1.5, "1.5")])
def test_sizes_of_fractions_of_255_are_told_apart(eps: float, shown: str) -> None:
    line = attack_line(eps, FIGURES)
    assert line.startswith(f"eps {shown}  success 0.500  accuracy 0.750 -> 0.375")
