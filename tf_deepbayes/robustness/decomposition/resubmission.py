"""What fresh noise is worth to whoever submits an image again, and to whoever asks several times.

Everything is counted from the outcomes of R draws of each image: n submissions are n of the R
draws without replacement, so that all chances are hypergeometric and nothing is simulated.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import hypergeom

from tf_deepbayes.core.axes import Array
from tf_deepbayes.robustness.comparisons import Interval, bootstrap

SUBMISSIONS = (1, 2, 5, 10, 20, 50, 100)
VOTES = (1, 3, 5, 9, 15, 25, 49, 99)


def succeeds_once(wins: Array, submissions: int) -> Array:
    """P(at least one of n submissions of an image succeeds), `[N]`, of wins bool `[R, N]`.

    1 − C(R − s, n) / C(R, n), s the number of draws in which it succeeds.
    """
    draws = len(wins)
    return 1.0 - hypergeom.pmf(0, draws, wins.sum(0), submissions)


def vote_is_right(right: Array, votes: int) -> Array:
    """P(more than half of m draws are right), `[N]`, of right bool `[R, N]`.

    A vote of most classes is right at least as often: its winner needs no half.
    """
    return hypergeom.sf(votes // 2, len(right), right.sum(0), votes)


def resubmission(labels: Array, draws: Array, counted: Array) -> dict[str, Any]:
    """Chances of resubmission and of votes, with 95% intervals over images.

    Args:
        draws: logits of the attacked images in R fresh draws, `[R, N, C]`.
        counted: which images were right before the attack, `[N]`.

    Returns:
        `submissions`: a row for each n up to R, of the images counted; `votes`: a row for each odd
        m up to R, over all images, with `cost`, decodes relative to one call.
    """
    right = draws.argmax(-1) == labels
    wins = ~right[:, counted]
    once = [(n, succeeds_once(wins, n)) for n in _up_to(SUBMISSIONS, len(draws))]
    voted = [(m, vote_is_right(right, m)) for m in _up_to(VOTES, len(draws))]
    return {
        "draws": len(draws),
        "submissions": [{"n": n} | _row("success", interval) for n, interval in _intervals(once)],
        "votes": [
            {"m": m, "cost": m} | _row("accuracy", interval) for m, interval in _intervals(voted)
        ],
    }


def _up_to(sizes: Sequence[int], limit: int) -> list[int]:
    return [size for size in sizes if size <= limit]


def _intervals(columns: Sequence[tuple[int, Array]]) -> list[tuple[int, Interval]]:
    sizes, values = [size for size, _ in columns], [chances for _, chances in columns]
    if not values or not len(values[0]):
        return []
    return list(zip(sizes, bootstrap(np.stack(values, 1)), strict=True))


def _row(name: str, interval: Interval) -> dict[str, Any]:
    return {name: interval.mean, "interval": (interval.low, interval.high)}
