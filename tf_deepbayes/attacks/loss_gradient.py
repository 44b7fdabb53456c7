"""∇ₓ of the loss, which gradient attacks follow."""

from collections.abc import Callable

import tensorflow as tf

from tf_deepbayes.attacks.losses import Loss
from tf_deepbayes.attacks.tracing import compiled_per_function
from tf_deepbayes.core.axes import LogitsFn, Tensor


def loss_gradient(
    loss_fn: Loss, logits_fn: LogitsFn, x: Tensor, y: Tensor, eot: Tensor | int = 1
) -> Tensor:
    """∇ₓ of each image's loss, averaged over draws of the classifier's noise.

    Args:
        loss_fn: (y, logits) → `[B]`.
        x: `[B, …]`.
        y: labels `[B]`, or whatever else the loss takes.
        eot: draws to average (expectation over transformation, Athalye et al. 2018).

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
    """`loss_gradient` of logits that carry a state from draw to draw.

    Args:
        forward: (x, known) → (logits, known).
    """

    def add(draw: Tensor, total: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits, known = forward(x, known)
            loss = loss_fn(y, logits)
        gradient = tape.gradient(loss, x, unconnected_gradients="zero")
        # A compiled function does not tell how many rows it answers, and one row alone would grow.
        return draw + 1, total + tf.ensure_shape(gradient, x.shape), known

    _, total, known = tf.while_loop(
        lambda draw, *_: draw < eot,
        add,
        (0, tf.zeros_like(x), known),
        parallel_iterations=1,
    )
    return total / tf.cast(eot, tf.float32), known


compiled_loss_gradient = compiled_per_function(1)(loss_gradient)
