"""The paired bootstrap, against a plain one written here."""

import numpy as np
import pytest

from tf_deepbayes.core.metrics import confidence_interval
from tf_deepbayes.study.bootstrap import bootstrap, of_share

RANDOM = np.random.default_rng(7)


def plain(values: np.ndarray, resamples: int = 4000) -> tuple[float, float]:
    """Bootstrap of worst of the first two − the last of columns `[S, N, M]`, loop by loop."""
    random, found = np.random.default_rng(1), []
    seeds, count, _ = values.shape
    for _ in range(resamples):
        chosen = random.integers(0, seeds, seeds) if seeds >= 3 else np.arange(seeds)
        images = random.integers(0, count, count)
        means = values[chosen][:, images].mean((0, 1))
        found.append(min(means[0], means[1]) - means[2])
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_the_interval_is_that_of_a_plain_bootstrap(seeds: int) -> None:
    offsets = RANDOM.normal(0, 0.1, (seeds, 1, 3))
    values = np.clip(RANDOM.random((seeds, 250, 3)) + offsets, 0, 1)
    found = bootstrap([values], lambda m: m[..., :2].min(-1) - m[..., 2])
    means = values.mean((0, 1))
    assert found.value == pytest.approx(min(means[:2]) - means[2])
    low, high = plain(values)
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)


def test_differences_are_paired() -> None:
    """Two models that differ on one image in twenty: independent intervals would hold 0."""
    base = RANDOM.random(500) < 0.5
    values = np.stack([base, base], axis=1).astype(float)[None]
    values[0, :25, 0], values[0, :25, 1] = 1.0, 0.0
    found = bootstrap([values], lambda m: m[..., 0] - m[..., 1])
    assert found.value == pytest.approx(0.05)
    assert 0 < found.low < 0.05 < found.high < 0.08


def test_seeds_widen_the_interval_from_three_on() -> None:
    shifts = np.array([0.0, 0.3, 0.6])[:, None, None]
    values = np.broadcast_to(shifts, (3, 200, 1)).copy()
    assert bootstrap([values], lambda m: m[..., 0]).high > 0.5
    two = bootstrap([values[:2]], lambda m: m[..., 0])
    assert two.low == pytest.approx(two.high) == pytest.approx(0.15)


def test_blocks_have_images_of_their_own() -> None:
    one, other = RANDOM.random((1, 200, 1)), RANDOM.random((1, 300, 1))
    found = bootstrap([one, other], lambda m: m[..., 0] - m[..., 1])
    error = 1.96 * np.sqrt(one.var() / 200 + other.var() / 300)
    assert found.value == pytest.approx(one.mean() - other.mean())
    assert (found.high - found.low) / 2 == pytest.approx(error, rel=0.05)


def test_a_share_of_all_images_has_the_width_of_wilsons_interval() -> None:
    found = of_share(np.ones((1, 200)))
    assert found[1:] == pytest.approx(confidence_interval(1.0, 200), abs=1e-9)


def test_the_same_values_give_the_same_interval() -> None:
    values = RANDOM.random((1, 200, 1))
    assert bootstrap([values], lambda m: m[..., 0]) == bootstrap([values], lambda m: m[..., 0])
