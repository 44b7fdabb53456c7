"""Logits of the classes that can matter to the next step of an attack.

The gradient of a loss hardly depends on classes far below the top. A classifier that costs as much
for each class as for all others, as deep Bayes classifiers do, is asked for the near ones only.
"""

from typing import NamedTuple, TypeAlias

import tensorflow as tf

from tf_deepbayes.attacks.access import LazyLogits
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError

# A class this far below the best other than the label has e⁻⁸ of its weight in the gradient, and a
# step of 0.01 moves logits by less.
REACH = 8.0


class EveryClass(NamedTuple):
    """Logits of all classes in every step."""

    logits_fn: LogitsFn

    def known_at_start(self, x: Tensor) -> Tensor:
        """Nothing, `[B, 0]`: no step needs to know the logits of the one before."""
        return tf.zeros([tf.shape(x)[0], 0])

    def step_logits(
        self, x: Tensor, y: Tensor, step: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Images, labels, number of the step, logits known → (logits of this step, known)."""
        return self.logits_fn(x), known


class NearClasses(NamedTuple):
    """Logits of all classes every so many steps, and of the near ones in between.

    Near are the label and the classes within 8 nats of the best of the others, by the logits known
    so far; the rest keep the value known. The best of the others is always among them, however far
    ahead the label is: what two classes share cancels in the gradient of their difference, and
    without one of them the gradient would point elsewhere.
    """

    logits_fn: LazyLogits
    every: int

    def known_at_start(self, x: Tensor) -> Tensor:
        """Zeros `[B, C]`: the first step looks at all classes."""
        # Of one image, for the number of classes alone: where the graph knows it, it is not run.
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
        logits = tf.where(wanted, self.logits_fn.some(x, wanted, own), known)
        logits = tf.ensure_shape(logits, known.shape)
        return logits, logits


StepLogits: TypeAlias = EveryClass | NearClasses


def step_logits_of(logits_fn: LogitsFn, every: int) -> StepLogits:
    """How the steps of an attack get their logits.

    Args:
        every: steps between evaluations of all classes; 0: all of them in each step.

    Raises:
        InputError: classes are to be left out and the function cannot.
    """
    if not every and isinstance(logits_fn, LazyLogits) and logits_fn.races:
        every = 1  # all are wanted in each step, and the race is told the label
    if not every:
        return EveryClass(logits_fn)
    if not isinstance(logits_fn, LazyLogits):
        raise InputError(
            "lazy_classes needs a classifier that can evaluate single classes, given as "
            "LazyLogits; leave it out"
        )
    return NearClasses(logits_fn, every)
