"""Logits of the classes that can affect the next step of an attack.

The gradient of a loss hardly depends on classes far below the top. Where every class costs an
equal share, as in deep Bayes classifiers, evaluating only the near classes saves the rest.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import tensorflow as tf

from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError

# A class this far below the best class other than the label has e⁻⁸ of its weight in the gradient,
# and a step of 0.01 changes logits by less.
REACH = 8.0


@dataclasses.dataclass(frozen=True, eq=False)
class LazyLogits:
    """A `logits_fn` that can also evaluate only some classes.

    Attributes:
        logits: `[B, …]` → `[B, C]`.
        class_logits: (images, wanted `[B, C]`) → `[B, C]`.
    """

    logits: LogitsFn
    class_logits: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        return self.logits(x)

    def some(self, x: Tensor, wanted: Tensor) -> Tensor:
        """The logits where `wanted`; arbitrary finite values elsewhere."""
        return self.class_logits(x, wanted)


class EveryClass(NamedTuple):
    """Logits of all classes in every step."""

    logits_fn: LogitsFn

    def known_at_start(self, x: Tensor) -> Tensor:
        """Empty, `[B, 0]`: no step needs the previous step's logits."""
        return tf.zeros([tf.shape(x)[0], 0])

    def step_logits(
        self, x: Tensor, y: Tensor, step: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Images, labels, step number, known logits → (this step's logits, known logits)."""
        return self.logits_fn(x), known


class NearClasses(NamedTuple):
    """Logits of all classes every few steps, and of the near classes in between.

    Near classes are the label and all within 8 nats of the best other class, by the last known
    logits; the rest keep their known values. The best other class is always included, however far
    ahead the label is: what two classes share cancels in the gradient of their difference, and
    without one of them the gradient would point elsewhere.
    """

    logits_fn: LazyLogits
    every: int

    def known_at_start(self, x: Tensor) -> Tensor:
        """Zeros `[B, C]`: the first step evaluates all classes."""
        # One image's logits give the number of classes; a graph that knows it does not run them.
        classes = tf.shape(self.logits_fn(x[:1]))[-1]
        return tf.zeros([tf.shape(x)[0], classes])

    def step_logits(
        self, x: Tensor, y: Tensor, step: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `EveryClass.step_logits`."""
        own = tf.one_hot(y, tf.shape(known)[1], on_value=True, off_value=False)
        others = tf.where(own, known.dtype.min, known)
        near = others > tf.reduce_max(others, 1, keepdims=True) - REACH
        wanted = near | own | (step % self.every == 0)
        logits = tf.where(wanted, self.logits_fn.some(x, wanted), known)
        return logits, logits


StepLogits: TypeAlias = EveryClass | NearClasses


def step_logits_of(logits_fn: LogitsFn, every: int) -> StepLogits:
    """How the steps of an attack get their logits.

    Args:
        every: steps between evaluations of all classes; 0: all of them in each step.

    Raises:
        InputError: classes are to be left out, but the function cannot do that.
    """
    if not every:
        return EveryClass(logits_fn)
    if not isinstance(logits_fn, LazyLogits):
        raise InputError(
            "lazy_classes needs a classifier that can evaluate single classes, given as "
            "LazyLogits; leave it out"
        )
    return NearClasses(logits_fn, every)
