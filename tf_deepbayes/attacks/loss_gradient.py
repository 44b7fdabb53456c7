"""∇ₓ of a loss, which gradient attacks follow, and where it is exactly zero."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks.losses import Loss, cross_entropy
from tf_deepbayes.attacks.tracing import compiled_per_function
from tf_deepbayes.core.axes import Array, LogitsFn, Tensor
from tf_deepbayes.core.metrics import padded

# Above this share of images without a gradient a success rate says nothing about robustness.
ZERO_GRADIENT_WARNING = 0.01


def loss_gradient(
    loss_fn: Loss, logits_fn: LogitsFn, x: Tensor, y: Tensor, eot: Tensor | int = 1
) -> Tensor:
    """∇ₓ of each image's loss, averaged over draws of the classifier's noise.

    Args:
        loss_fn: (y, logits) → `[B]`.
        x: `[B, …]`.
        y: labels `[B]`, or what else the loss takes.
        eot: draws (expectation over transformation, Athalye et al. 2018).

    Returns:
        `[B, …]`; zero where the logits do not depend on x at all.
    """
    forward = lambda x, known: (logits_fn(x), known)  # noqa: E731
    return mean_gradient(loss_fn, forward, x, y, tf.zeros([]), eot)[0]


def mean_gradient(
    loss_fn: Loss,
    forward: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    x: Tensor,
    y: Tensor,
    known: Tensor,
    eot: Tensor | int,
) -> tuple[Tensor, Tensor]:
    """`loss_gradient` of logits that know something from draw to draw.

    Args:
        forward: (x, known) → (logits, known).
    """

    def add(draw: Tensor, total: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits, known = forward(x, known)
            loss = loss_fn(y, logits)
        gradient = tape.gradient(loss, x, unconnected_gradients="zero")
        return draw + 1, total + gradient, known

    _, total, known = tf.while_loop(
        lambda draw, *_: draw < eot,
        add,
        (0, tf.zeros_like(x), known),
        parallel_iterations=1,
    )
    return total / tf.cast(eot, tf.float32), known


compiled_loss_gradient = compiled_per_function(1)(loss_gradient)


def zero_gradients(
    logits_fn: LogitsFn,
    x: Array,
    labels: Array,
    batch_size: int = 100,
    loss_fn: Loss = cross_entropy,
) -> Array:
    """Whether the gradient of the loss is exactly zero at each image, `[N]` bool.

    A sign that an attack failed for reasons of its own (Carlini et al. 2019): logits that differ by
    a hundred nats leave float32 cross-entropy without a gradient, and a gradient attack then fails
    whatever the model's robustness.
    """
    found = []
    pairs = zip(padded(x, batch_size), padded(labels, batch_size), strict=True)
    for (images, count), (label, _) in pairs:
        gradient = compiled_loss_gradient(loss_fn, logits_fn, images, label)
        axes = list(range(1, gradient.shape.rank))
        found.append(tf.reduce_all(gradient == 0.0, axes).numpy()[:count])
    return np.concatenate(found)
