"""Signs that an attack failed for reasons of its own (Carlini et al. 2019)."""

import numpy as np
import tensorflow as tf
from cleverhans.tf2.utils import compute_gradient

from tf_deepbayes.attacks.losses import Loss, cross_entropy
from tf_deepbayes.axes import Array, LogitsFn
from tf_deepbayes.metrics import padded

# Above this share of images without a gradient a success rate says nothing about robustness.
ZERO_GRADIENT_WARNING = 0.01


def zero_gradients(
    logits_fn: LogitsFn,
    x: Array,
    labels: Array,
    targeted: bool = False,
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
        gradient = compute_gradient(logits_fn, loss_fn, images, label, targeted)
        axes = list(range(1, gradient.shape.rank))
        found.append(tf.reduce_all(gradient == 0.0, axes).numpy()[:count])
    return np.concatenate(found)
