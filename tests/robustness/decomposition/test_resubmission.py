"""Chances of one success in n submissions and of a vote: counted, and met by drawing."""

import numpy as np
import pytest

from tf_deepbayes.robustness.decomposition.resubmission import (
    resubmission,
    succeeds_once,
    vote_is_right,
)

WINS = np.zeros([10, 3], bool)
WINS[:1, 1], WINS[:4, 2] = True, True


def test_one_success_in_n_is_hypergeometric() -> None:
    """None, one and four of ten draws succeed."""
    np.testing.assert_allclose(succeeds_once(WINS, 1), [0.0, 0.1, 0.4], atol=1e-12)
    np.testing.assert_allclose(succeeds_once(WINS, 2), [0.0, 0.2, 1.0 - 6 * 5 / 90], atol=1e-12)
    np.testing.assert_allclose(succeeds_once(WINS, 10), [0.0, 1.0, 1.0], atol=1e-12)


@pytest.mark.parametrize("size", [1, 3, 5, 9])
def test_drawing_gives_the_same(size: int) -> None:
    random = np.random.default_rng(0)
    rows = np.stack([random.permutation(10)[:size] for _ in range(20_000)])
    chosen = WINS[rows]  # [trials, size, 3]
    np.testing.assert_allclose(succeeds_once(WINS, size), chosen.any(1).mean(0), atol=0.015)
    right = (~chosen).sum(1) > size / 2
    np.testing.assert_allclose(vote_is_right(~WINS, size), right.mean(0), atol=0.015)


def test_images_that_all_agree_leave_an_interval() -> None:
    logits = np.broadcast_to([0.0, 1.0], [10, 40, 2])
    for labels, success in ((np.ones(40, int), 0.0), (np.zeros(40, int), 1.0)):
        found = resubmission(labels, logits, np.ones(40, bool))["submissions"][0]
        low, high = found["interval"]
        assert found["success"] == pytest.approx(success)
        assert 0.05 < (high if success == 0.0 else 1.0 - low) < 0.1
        assert (low if success == 0.0 else high) == pytest.approx(success)


def test_the_table_counts_images_that_were_right_and_votes_over_all() -> None:
    logits = np.where(WINS[..., None], [0.0, 1.0], [1.0, 0.0])
    found = resubmission(np.zeros(3, int), logits, np.array([True, True, False]))
    assert [row["n"] for row in found["submissions"]] == [1, 2, 5, 10]
    assert found["submissions"][0]["success"] == pytest.approx(0.05)
    assert [row["m"] for row in found["votes"]] == [1, 3, 5, 9]
    assert found["votes"][0]["accuracy"] == pytest.approx((1.0 + 0.9 + 0.6) / 3)
    assert found["votes"][-1] | {"interval": None} == {
        "m": 9,
        "cost": 9,
        "accuracy": pytest.approx(1.0),
        "interval": None,
    }
    assert resubmission(np.zeros(3, int), logits, np.zeros(3, bool))["submissions"] == []
