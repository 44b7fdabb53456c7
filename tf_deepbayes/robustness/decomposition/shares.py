"""A robust accuracy in parts that add up to 1.

Each image is led through a chain of worlds, each worse for it than the last, and each part is what
a world adds to the chance that the image is wrong:

    clean error     wrong without an attack, for the classifier with K → ∞ draws
    noise alone     right there, and wrong without an attack in a call's K draws
    broken          by PGD on the published loss, on fresh noise: what is usually measured
    known noise     only if the attack knows the noise: attacked and scored with the same draws
    many samples    only for K → ∞: attacked and scored there, so that no noise is in the way
    adaptive        only by the standard set: other losses, restarts, search, the detectors' attacks
    margin          none of these

What is usually called robust is the sum of the last four. Of it, known noise and many samples are
what sampling hides, adaptive is what masked gradients hide, and margin is what nothing here broke.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.metrics import confidence_interval
from tf_deepbayes.robustness.comparisons import bootstrap

PARTS = (
    *("clean error", "noise alone", "broken", "known noise", "many samples", "adaptive", "margin"),
)
BELOW_0 = PARTS[1:-1]  # parts of an image that can be negative: what a world takes back by chance
LEAST = 0.1  # share of the images that a verdict needs
MASKED, NOISE, MARGIN, NONE = "masked", "noise", "margin", "none"


@dataclasses.dataclass(frozen=True)
class World:
    """How often each image is wrong in a world, in draws that choose and in others that score.

    Attributes:
        name: the part that it adds.
        chosen: share of the choosing draws in which each image is wrong, `[N]`.
        scored: the same in the scoring draws.
    """

    name: str
    chosen: Array
    scored: Array

    @classmethod
    def of(cls, name: str, wrong: Array) -> "World":
        """Of `[R, N]`: the first half of the draws chooses; one draw alone does both."""
        half = len(wrong) // 2
        if not half:
            return cls(name, wrong.mean(0), wrong.mean(0))
        return cls(name, wrong[:half].mean(0), wrong[half:].mean(0))


def parts_of(worlds: Sequence[World]) -> Array:
    """The parts of each image, `[N, W + 1]`: a column for each world, then the margin.

    An image moves on to a world where it is wrong more often in the draws that choose, and its
    chance is then that of the draws that score, which had no part in the choice. Each row adds up
    to 1. A column's mean can fall below 0 by chance, never by construction.
    """
    chosen, scored = np.zeros_like(worlds[0].chosen), np.zeros_like(worlds[0].scored)
    columns = []
    for world in worlds:
        worse = world.chosen > chosen
        after = np.where(worse, world.scored, scored)
        columns.append(after - scored)
        chosen, scored = np.where(worse, world.chosen, chosen), after
    return np.stack([*columns, 1.0 - scored], 1)


def decomposition(worlds: Sequence[World], labels: Array, predicted: Array) -> dict[str, Any]:
    """The parts with intervals from a bootstrap over images, and a verdict in a word.

    Args:
        labels: true classes `[N]`.
        predicted: the clean images' classes for K → ∞, `[N]`.

    Returns:
        `parts`, in the order of `PARTS`: share and interval; `reported`, what is usually called
        robust; `verdict`, see `verdict`.
    """
    rows = parts_of(worlds)
    names = [*(world.name for world in worlds), "margin"]
    lowest = -1.0 * np.isin(names, BELOW_0)
    intervals = dict(zip(names, bootstrap(rows, lowest), strict=True))
    found = {
        n: {"share": one.mean, "interval": (one.low, one.high)} for n, one in intervals.items()
    }
    shares = {name: one.mean for name, one in intervals.items()}
    hidden = ("known noise", "many samples", "adaptive", "margin")
    return {
        "parts": found,
        "reported": min(sum(shares.get(name, 0.0) for name in hidden), 1.0),
        "verdict": verdict(shares, labels, predicted),
        "num_images": len(labels),
    }


def verdict(shares: dict[str, float], labels: Array, predicted: Array) -> str:
    """What most of the reported robust accuracy is: "noise", "masked" or "margin".

    Predictions that flip without an attack count as noise. "none" where there is nothing to name:
    less than a tenth of the images is left to these three, or the clean accuracy is not above that
    of the best constant answer (its 95% interval reaches down to the largest share of a class).
    """
    accuracy = float(np.mean(predicted == labels))
    low, _ = confidence_interval(accuracy, len(labels)) or (0.0, 1.0)
    if low <= np.bincount(labels).max() / len(labels):
        return NONE
    amounts = {
        NOISE: sum(shares.get(n, 0.0) for n in ("noise alone", "known noise", "many samples")),
        MASKED: shares.get("adaptive", 0.0),
        MARGIN: shares["margin"],
    }
    if sum(amounts.values()) < LEAST:
        return NONE
    return max(amounts, key=lambda name: amounts[name])
