"""Signs that an attack failed for reasons of its own (Carlini et al. 2019)."""

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks.losses import Loss, cross_entropy
from tf_deepbayes.core.axes import Array, LogitsFn
from tf_deepbayes.core.metrics import padded

# Above this share of images without a gradient a success rate says nothing about robustness.
ZERO_GRADIENT_WARNING = 0.01


def zero_gradients(
    logits_fn: LogitsFn,
    x: Array,
    labels: Array,
    batch_size: int = 100,
    loss_fn: Loss = cross_entropy,
) -> Array:
    """Whether the gradient of the loss is exactly zero at each image, `[N]` bool.

    Logits that differ by a hundred nats leave float32 cross-entropy without a gradient; a gradient
    attack then fails whatever the model's robustness.
    """
    found = []
    pairs = zip(padded(x, batch_size), padded(labels, batch_size), strict=True)
    for (images, count), (label, _) in pairs:
        gradient = loss_gradient(logits_fn, loss_fn, images, label)
        axes = list(range(1, gradient.shape.rank))
        found.append(tf.reduce_all(gradient == 0.0, axes).numpy()[:count])
    return np.concatenate(found)


@tf.function
def loss_gradient(logits_fn, loss_fn, x, labels):  # type: ignore[no-untyped-def]
    """∇ₓ of each image's loss, `[B, …]`; zero where the logits do not depend on x at all."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = loss_fn(labels, logits_fn(x))
    return tape.gradient(loss, x, unconnected_gradients="zero")
