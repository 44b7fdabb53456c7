"""What a decomposition may do with the noise of a classifier that samples."""

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from tf_deepbayes.attacks.access import ModelAccess, in_float32
from tf_deepbayes.core.axes import LogitsFn, Tensor

CALLS = 64  # calls whose mean stands for all draws, where nothing better is known


@dataclasses.dataclass(frozen=True, eq=False)
class NoiseControl:
    """A classifier that samples, with its noise in the hand.

    Attributes:
        with_samples: K → the classifier with K draws a call, for attacks.
        limit: the classifier with so many draws that its answers hardly vary: K → ∞.
        known: seed → the classifier with the draws of that seed at every call; None: they cannot
            be fixed.
        num_samples: its own K.
        limit_of: what `limit` is, in words.
        limit_cost: what it costs, in calls of the classifier.
    """

    with_samples: Callable[[int], ModelAccess]
    limit: LogitsFn
    known: Callable[[int], LogitsFn] | None = None
    num_samples: int = 1
    limit_of: str = f"mean p of {CALLS} calls"
    limit_cost: float = float(CALLS)

    @classmethod
    def of(cls, access: ModelAccess) -> "NoiseControl":
        """Of any classifier: K stands for so many calls, and the noise cannot be fixed."""
        joint = access.log_weights is not None
        several = lambda count: Averaged(access.logits, count, joint)  # noqa: E731
        named = "logits" if joint else "p"
        return cls(
            functools.cache(lambda count: ModelAccess(several(count))),
            several(CALLS),
            limit_of=f"mean {named} of {CALLS} calls",
        )

    @classmethod
    def of_deterministic(cls, logits_fn: LogitsFn) -> "NoiseControl":
        """Of a classifier without noise, which is its own limit."""
        access = ModelAccess(logits_fn)
        return cls(lambda count: access, logits_fn, lambda seed: logits_fn, 1, "itself", 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Averaged:
    """A logits function: the mean over calls of p(y|x), as log p.

    With `joint`, of exp(logits): estimates of log p(x, y) from K draws each, so that the mean is
    the estimate from all draws together.
    """

    function: LogitsFn
    calls: int
    joint: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        """Logits `[B, C]`, nats."""
        function, one = in_float32(self.function), tf.zeros([])

        def call() -> Tensor:
            logits = function(x)
            return logits if self.joint else tf.nn.log_softmax(logits)

        def add(i: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            both = tf.stack([total, call()])
            return i + 1, tf.ensure_shape(tf.reduce_logsumexp(both, 0), total.shape)

        if self.calls == 1:
            return call()
        _, total = tf.while_loop(
            lambda i, _: i < self.calls, add, (tf.constant(1), call()), parallel_iterations=1
        )
        return total - tf.math.log(one + float(self.calls))
