"""Logits of the classes that can matter to the next step of an attack.

The gradient of a loss hardly depends on classes far below the top. A classifier that costs as much
for each class as for all others, as deep Bayes classifiers do, is asked for the near ones only.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError

# A class this far below the best other than the label has e⁻⁸ of its weight in the gradient, and a
# step of 0.01 moves logits by less.
REACH = 8.0


@dataclasses.dataclass(frozen=True, eq=False)
class LazyLogits:
    """A `logits_fn` that can also evaluate some classes only.

    Attributes:
        logits: `[B, …]` → `[B, C]`.
        class_logits: (images, wanted `[B, C]`) → `[B, C]`.
    """

    logits: LogitsFn
    class_logits: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        return self.logits(x)

    def some(self, x: Tensor, wanted: Tensor) -> Tensor:
        """The logits where `wanted`; anything finite elsewhere."""
        return self.class_logits(x, wanted)


# (images, labels, step, logits known) → logits of this step
Evaluate = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def check(logits_fn: LogitsFn, every: int) -> None:
    """InputError where classes are to be left out and the function cannot."""
    if every and not isinstance(logits_fn, LazyLogits):
        raise InputError(
            "lazy_classes needs a classifier that can evaluate single classes, given as "
            "LazyLogits; leave it out"
        )


def nothing_known(logits_fn: LogitsFn, every: int, x: Tensor) -> Tensor:
    """Logits known before the first step, which looks at all classes: zeros `[B, C]`."""
    # Of one image, and for the number of classes alone: where the graph knows it, it is not run.
    classes = tf.shape(logits_fn(x[:1]))[-1] if every else 0
    return tf.zeros([tf.shape(x)[0], classes])


def evaluator(logits_fn: LogitsFn, every: int) -> Evaluate:
    """How a step gets its logits.

    With `every` 0 from logits_fn itself. Otherwise all classes are evaluated every so many steps,
    and in between the label and those within 8 nats of the best of the others, by the logits known
    so far; the rest keep the value known. The best of the others is always among them, however far
    ahead the label is: what two classes share cancels in the gradient of their difference, and
    without one of them the gradient would point elsewhere.
    """
    if not every:
        return lambda x, labels, step, known: logits_fn(x)

    assert isinstance(logits_fn, LazyLogits)  # `check` has said so to the caller

    def evaluate(x: Tensor, labels: Tensor, step: Tensor, known: Tensor) -> Tensor:
        own = tf.one_hot(labels, tf.shape(known)[1], on_value=True, off_value=False)
        others = tf.where(own, known.dtype.min, known)
        near = others > tf.reduce_max(others, 1, keepdims=True) - REACH
        wanted = near | own | (step % every == 0)
        return tf.where(wanted, logits_fn.some(x, wanted), known)

    return evaluate
