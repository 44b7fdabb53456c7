"""Figures against values worked out by hand."""

import numpy as np
import pytest

from tf_deepbayes.core import metrics


def test_norms() -> None:
    x = np.zeros((1, 2, 2, 1))
    moved = x + np.array([0.3, 0.0, -0.4, 0.0]).reshape(1, 2, 2, 1)
    norms = {name: float(value[0]) for name, value in metrics.perturbation_norms(x, moved).items()}
    assert norms == pytest.approx({"l0": 2, "l2": 0.5, "linf": 0.4})


def test_confidence_interval_is_wilsons() -> None:
    assert metrics.confidence_interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    low, high = metrics.confidence_interval(0.0, 10) or (1.0, 1.0)
    assert low == 0.0 and high == pytest.approx(0.2775, abs=1e-3)
    assert metrics.confidence_interval(None, 0) is None


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0, 1.0 + 2e-16])
def test_a_confidence_interval_holds_its_share_in_0_to_1(share: float) -> None:
    """To the last bit: what is drawn or checked from it is never negative."""
    for count in range(2, 1000, 2):
        low, high = metrics.confidence_interval(share, count) or (1.0, 0.0)
        assert 0.0 <= low <= min(share, 1.0) <= high <= 1.0


def test_entropy_in_nats() -> None:
    values = metrics.entropy(np.array([[0.0, 0.0], [0.0, 500.0]], np.float32))
    assert values == pytest.approx([np.log(2), 0.0])


def test_predict_pads_the_last_batch_and_returns_every_row() -> None:
    sizes = []

    def logits_fn(x: object) -> object:
        sizes.append(len(x))  # type: ignore[arg-type]
        return x

    x = np.arange(14, dtype=np.float32).reshape(7, 2)
    np.testing.assert_array_equal(metrics.predict(logits_fn, x, batch_size=3), x)
    assert sizes == [3, 3, 3]
