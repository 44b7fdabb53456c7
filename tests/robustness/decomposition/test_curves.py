"""Whether a curve has ended is said by a rule, and luck is not progress."""

import numpy as np
import pytest

from tf_deepbayes.robustness.comparisons import Interval, paired_interval
from tf_deepbayes.robustness.decomposition.curves import SATURATED, curve, verdict, worst_so_far


@pytest.mark.parametrize(
    ("drop", "said"),
    [
        ((0.001, -0.01, 0.012), SATURATED),
        ((0.0, 0.0, 0.0), SATURATED),
        ((0.03, 0.01, 0.05), "not saturated: at least 0.010 more"),
        ((0.005, 0.001, 0.009), "not saturated: at least 0.001 more"),
        ((-0.2, -0.277, -0.107), "weaker with more: by at least 0.107"),
        ((0.01, -0.02, 0.04), "not shown to be saturated: up to 0.040 more"),
    ],
)
def test_the_rule(drop: tuple[float, float, float], said: str) -> None:
    assert verdict(Interval(*drop)) == said


def test_a_few_images_that_agree_prove_nothing() -> None:
    same = np.ones(50)
    found = paired_interval(same, same)
    assert found.mean == 0.0 and found.low == -found.high
    assert found.high == pytest.approx(1.96 * np.sqrt(2 / 52) / np.sqrt(52), rel=1e-3)
    assert verdict(found) != SATURATED
    assert verdict(paired_interval(np.ones(500), np.ones(500))) == SATURATED
    less = np.where(np.arange(200) < 40, 0.0, 1.0)
    found = paired_interval(np.ones(200), less)
    assert found.mean == pytest.approx(0.2)
    assert 0.13 < found.low < 0.16 and 0.24 < found.high < 0.27


def test_a_curve_of_three_sizes() -> None:
    robust = [np.ones(400), np.r_[np.zeros(100), np.ones(300)], np.r_[np.zeros(100), np.ones(300)]]
    found = curve("steps", [1, 2, 4], robust)
    assert found.robust == (1.0, 0.75, 0.75) and found.verdict == SATURATED
    assert curve("steps", [1, 2], robust[:2]).verdict.startswith("not saturated: at least 0.2")
    assert curve("steps", [1], robust[:1]).drop is None
    assert found.to_dict()["drop"]["mean"] == 0.0


def test_the_luckiest_of_twenty_restarts_is_no_worse_than_one() -> None:
    """Logits that have nothing to do with the image: four of five draws are wrong in any case."""
    random, labels = np.random.default_rng(0), np.arange(600) % 5
    draws = [random.normal(size=(4, 600, 5)) for _ in range(20)]
    assert worst_so_far(labels, draws).mean() == pytest.approx(0.8, abs=0.02)
    # Without noise the worst of several is known.
    sure = [np.eye(5)[labels][None], np.eye(5)[(labels + 1) % 5][None]]
    np.testing.assert_array_equal(worst_so_far(labels, sure), 1.0)
    np.testing.assert_array_equal(worst_so_far(labels, sure[:1]), 0.0)
