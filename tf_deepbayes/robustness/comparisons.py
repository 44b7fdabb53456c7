"""Attacks compared on the same images: by those that only one of them breaks, with intervals."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.metrics import NORMAL_95

PASS, FAIL, NOT_APPLICABLE = "pass", "FAIL", "not applicable"
RESAMPLES = 2000  # of images, for a bootstrap
ONE_SIDED = 0.025  # one side of a 95% interval


@dataclasses.dataclass(frozen=True)
class Discordant:
    """How many images each of two attacks breaks that the other does not.

    Attributes:
        only_first: number of images that the first alone breaks.
        only_second: number that the second alone breaks.
        count: images that both were run on.
    """

    only_first: int
    only_second: int
    count: int

    @classmethod
    def of(cls, first: Array, second: Array) -> "Discordant":
        """Of two bool arrays `[N]`: whether each image is broken."""
        only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
        return cls(only_first, only_second, len(first))

    @property
    def p_value(self) -> float:
        """P(the second alone breaks so many or more) if the first is as strong (sign test).

        Of n = only_first + only_second images, the number that the second alone breaks is then
        Binomial(n, ½) at most; the test is exact (McNemar 1947).
        """
        found = self.only_first + self.only_second
        return float(binom.sf(self.only_second - 1, found, 0.5))

    @property
    def second_is_stronger(self) -> bool:
        """Whether chance does not explain what the second alone breaks."""
        return self.p_value < ONE_SIDED


def broken(labels: Array, draws: Array) -> Array:
    """Whether most draws misclassify each image, bool `[N]`; logits `[R, N, C]`."""
    return (draws.argmax(-1) != labels).mean(0) > 0.5


def broken_by_any(labels: Array, several: Sequence[Array]) -> Array:
    """Whether one of several attacks breaks each image; the logits of each `[R, N, C]`."""
    return np.any([broken(labels, draws) for draws in several], axis=0)


@dataclasses.dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        compared: names of the two figures.
        figures: shares; None if there is none.
        tolerance: allowed difference; None where `discordant` decides.
        verdict: "pass", "FAIL" or "not applicable".
        suggests: what a failure suggests, or why there is no verdict; else empty.
        discordant: images that the first alone breaks, that the second alone breaks, and all that
            both were run on; the comparison is of these where they are given.
        p_value: see `Discordant.p_value`.
    """

    name: str
    compared: tuple[str, str]
    figures: tuple[float | None, float | None]
    tolerance: float | None
    verdict: str
    suggests: str = ""
    discordant: tuple[int, int, int] | None = None
    p_value: float | None = None


def tolerance(first: float, second: float, count: int) -> float:
    """Half of the 95% interval of the difference of two shares of `count` images.

    One success and one failure are added to each (Agresti and Caffo 2000), so that shares of 0 and
    1 have sampling error too.
    """
    shares = [(share * count + 1.0) / (count + 2.0) for share in (first, second)]
    return NORMAL_95 * math.sqrt(sum(share * (1.0 - share) for share in shares) / (count + 2.0))


def not_applicable(name: str, compared: tuple[str, str], why: str) -> Check:
    """A comparison that cannot be made."""
    return Check(name, compared, (None, None), None, NOT_APPLICABLE, why)


def at_least(
    name: str,
    compared: tuple[str, str],
    figures: tuple[float | None, float | None],
    count: int,
    suggests: str,
) -> Check:
    """Whether the first share of `count` images is at least the second, up to sampling error."""
    first, second = figures
    if first is None or second is None:
        return not_applicable(name, compared, "no image was right before the attack")
    noise = tolerance(first, second, count)
    failed = second - first > noise
    return Check(name, compared, figures, noise, *((FAIL, suggests) if failed else (PASS, "")))


def paired(
    name: str, compared: tuple[str, str], first: Array, second: Array, suggests: str
) -> Check:
    """Whether the first attack breaks at least what the second does, up to chance.

    Args:
        first: whether it breaks each image that was right before, bool `[N]`; second: the same.
    """
    if not len(first):
        return not_applicable(name, compared, "no image was right before the attack")
    found = Discordant.of(first, second)
    figures = float(first.mean()), float(second.mean())
    verdict = (FAIL, suggests) if found.second_is_stronger else (PASS, "")
    counts = found.only_first, found.only_second, found.count
    return Check(name, compared, figures, None, *verdict, counts, found.p_value)


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean over images and its 95% interval."""

    mean: float
    low: float
    high: float


def bootstrap(values: Array, lowest: float | Array = 0.0, seed: int = 0) -> list[Interval]:
    """The mean of each column of `[N, M]` with its percentile interval; whole rows are drawn.

    For the intervals an image at either end of the values' range is added, as in `paired_interval`,
    so that images that all agree leave one, too: 40 images of 0 give 0 to .07.

    Args:
        lowest: what a value can be at least, of all columns or of each; at most it is 1.
    """
    mean, random = values.mean(0), np.random.default_rng(seed)
    ends = np.stack([np.broadcast_to(lowest, mean.shape), np.ones_like(mean)])
    pool = np.concatenate([values, ends])
    rows = random.integers(0, len(pool), (RESAMPLES, len(pool)))
    means = np.stack([pool[chosen].mean(0) for chosen in rows])
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    low, high = np.minimum(low, mean), np.maximum(high, mean)
    return [Interval(*map(float, one)) for one in zip(mean, low, high, strict=True)]


def paired_interval(first: Array, second: Array) -> Interval:
    """The mean of first − second over images, both `[N]` in [0, 1], with its 95% interval.

    One image with a difference of 1 and one of −1 are added (Bonett and Price 2012), so that images
    that all agree leave an interval, too: with fifty of them, ±.05.
    """
    difference = np.concatenate([first - second, [1.0, -1.0]])
    mean = float(difference.mean())
    half = NORMAL_95 * float(difference.std()) / np.sqrt(len(difference))
    return Interval(float(np.mean(first - second)), mean - half, mean + half)
