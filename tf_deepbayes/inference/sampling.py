"""How a stochastic classifier samples: how many draws, of which kind, from which seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor, log_mean_exp
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.inference.noise import INDEPENDENT, SCHEMES, check_scheme

MODES = ("sample", "mean", "fixed", "zero")
# (first sample, number of samples, wanted [C, B]) → their log weights, `[number, C, B]`
SomeLogWeights: TypeAlias = Callable[[int, int, Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class Sampling:
    """The draws of z (in a dropout network: of masks) behind one call.

    Attributes:
        num_samples: K.
        mode: "sample"; "mean" z = mean of q (no dropout), K = 1; "fixed" the same K draws for every
            image, class and call; "zero" z = 0, K = 1.
        scheme: how the K draws of "sample" and "fixed" are made, one of `noise.SCHEMES`.
        seed: fixes the draws of "sample"; None: each call draws new ones.
        race: nats; classes further below the best after `race_draws` draws get no more (`raced`).
            None: all classes get K draws, as published.
        race_draws: draws that every class gets in a race, fewer than K.

    Raises:
        InputError: on creation, when the values are invalid or do not fit together.
    """

    num_samples: int = 10
    mode: str = "sample"
    scheme: str = INDEPENDENT
    seed: int | Tensor | None = None
    race: float | None = None
    race_draws: int = 1

    def __post_init__(self) -> None:
        check_count("num_samples", self.num_samples)
        if isinstance(self.seed, int) and self.seed < 0:
            raise InputError(f"seed must be a whole number, 0 or more, got {self.seed}")
        if self.mode not in MODES:
            raise InputError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        check_scheme(self.scheme, self.num_samples, self.mode)
        check_count("race_draws", self.race_draws)
        if self.race is not None:
            self._check_race()

    @property
    def noise(self) -> str:
        """The kind of draws as results record it, such as shared or shared+race8r1."""
        race = "" if self.race is None else f"+race{self.race:g}r{self.race_draws}"
        return f"{self.scheme}{race}"

    def _check_race(self) -> None:
        least = math.log(self.num_samples / self.race_draws)
        if self.race_draws >= self.num_samples:
            raise InputError(
                f"race_draws must be below the {self.num_samples} samples, got {self.race_draws}"
            )
        # The best of the first draws falls by less than that, so that it stays above who lost.
        if not least <= self.race < math.inf:  # type: ignore[operator]
            raise InputError(
                f"race must be a number of nats of at least log(K / race_draws) = {least:.2f}, got "
                f"{self.race}"
            )
        if self.mode != "sample":
            raise InputError(f"mode {self.mode} has no further draws to save; leave race out")
        if SCHEMES[self.scheme].mixture:
            raise InputError(f"all draws of noise {self.scheme} serve all classes; leave race out")

    @classmethod
    def of(cls, sampling: Sampling | int | None, **changes: Any) -> Sampling:
        """A `Sampling` with changes; a bare K, accepted by earlier versions, still means K."""
        if isinstance(sampling, int):
            sampling, changes = None, {"num_samples": sampling, **changes}
        return (
            dataclasses.replace(sampling or DEFAULT, **changes) if changes else sampling or DEFAULT
        )


DEFAULT = Sampling()


class Raced(NamedTuple):
    """Logits of a race.

    Attributes:
        logits: `[B, C]`, nats.
        left_out: `[B, C]` bool: the logit is the estimate of `race_draws` draws.
    """

    logits: Tensor
    left_out: Tensor


def raced(
    some: SomeLogWeights, sampling: Sampling, wanted: Tensor, always: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Log weights of a race between the wanted classes, `[K, C, B]`, and who was left out of it.

    Every class gets the first r = `race_draws` draws. Those whose estimate, the log-mean-exp of
    them, lies within `race` nats of the best get the other K − r; the others keep the estimate,
    which stands in the place of the draws they did not get.

    Args:
        some: log weights of some samples for some classes.
        wanted: classes that take part, `[C, B]` bool.
        always: classes that get all draws, `[C, B]` bool.

    Returns:
        (log weights, wanted classes that were left out, `[C, B]` bool). Without a race all get K
        draws.
    """
    if sampling.race is None:
        return some(0, sampling.num_samples, wanted), tf.zeros_like(wanted)
    first = some(0, sampling.race_draws, wanted)
    estimate = log_mean_exp(first, 0)
    near = estimate >= tf.reduce_max(estimate, 0, keepdims=True) - sampling.race
    kept = wanted & (near if always is None else near | always)
    rest = some(sampling.race_draws, sampling.num_samples - sampling.race_draws, kept)
    return tf.concat([first, tf.where(kept, rest, estimate)], 0), wanted & ~kept
