"""Bootstrap intervals of differences between means over the same images.

An image's value is its mean over fresh draws of the noise. Resamples are of images, with three
seeds or more of seeds first, and the same for all columns: differences are paired.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.metrics import confidence_interval

RESAMPLES, SEED = 10_000, 0
FEWEST_SEEDS = 3  # to resample over seeds
CHUNK = 1000  # resamples at a time, for memory
Statistic = Callable[[Array], Array]  # means [..., M] → [...]


class Estimate(NamedTuple):
    """A value and its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """Such as +0.120 (+0.080 to +0.150)."""
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})".replace("-", "−")


def bootstrap(blocks: Sequence[Array], statistic: Statistic) -> Estimate:
    """A statistic of the means over images, with its 95% percentile interval.

    Args:
        blocks: values `[S seeds, N images, M columns]`, such as accuracies of M models; each block
            has images of its own.
        statistic: of the means of all columns of all blocks.
    """
    means = [block.mean((0, 1)) for block in blocks]
    resampled = [_resampled_means(block, number) for number, block in enumerate(blocks)]
    value = statistic(np.concatenate(means))
    low, high = np.percentile(statistic(np.concatenate(resampled, axis=1)), [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))


def of_share(values: Array) -> Estimate:
    """A share, from `[S, N]`: the wider of the Wilson and the bootstrap interval at each end.

    Wilson's alone has a width where all images are alike; with seeds the bootstrap is the wider.
    """
    found = bootstrap([values[..., None]], lambda means: means[..., 0])
    interval = confidence_interval(found.value, values.shape[1]) or (0.0, 1.0)
    return Estimate(found.value, min(found.low, interval[0]), max(found.high, interval[1]))


def _resampled_means(block: Array, number: int) -> Array:
    """The means of the columns in each resample, `[R, M]`."""
    seeds, count, columns = block.shape
    counts = _image_counts(count, number)
    found = np.empty((RESAMPLES, seeds, columns))
    for start in range(0, RESAMPLES, CHUNK):
        part = counts[start : start + CHUNK].astype(np.float32) / count
        found[start : start + CHUNK] = np.einsum(
            "rn,snm->rsm", part, block.astype(np.float32), optimize=True
        )
    if seeds < FEWEST_SEEDS:
        return found.mean(1)
    random = np.random.default_rng([SEED, seeds])
    chosen = random.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    return np.einsum("rs,rsm->rm", chosen, found)


@functools.lru_cache(maxsize=4)
def _image_counts(count: int, number: int) -> Array:
    """How often each image is in each resample, `[R, N]`."""
    random = np.random.default_rng([SEED, count, number])
    found = np.empty((RESAMPLES, count), np.uint8)
    for row in found:
        row[:] = np.bincount(random.integers(0, count, count), minlength=count)
    return found
