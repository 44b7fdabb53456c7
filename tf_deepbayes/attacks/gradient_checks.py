"""Where the gradient of the loss is exactly zero, a sign of gradient masking."""

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks.loss_gradient import compiled_loss_gradient
from tf_deepbayes.attacks.losses import Loss, cross_entropy
from tf_deepbayes.core.axes import Array, LogitsFn
from tf_deepbayes.core.metrics import padded

# With a larger share of images without a gradient, a success rate does not measure robustness.
ZERO_GRADIENT_WARNING = 0.01


def zero_gradients(
    logits_fn: LogitsFn,
    x: Array,
    labels: Array,
    batch_size: int = 100,
    loss_fn: Loss = cross_entropy,
) -> Array:
    """Whether the gradient of the loss is exactly zero at each image, `[N]` bool.

    Zero gradients are a sign of gradient masking (Carlini et al. 2019): logits that differ by a
    hundred nats leave float32 cross-entropy without a gradient, and a gradient attack then fails
    however robust the model is.
    """
    found = [np.zeros([0], bool)]
    pairs = zip(padded(x, batch_size), padded(labels, batch_size), strict=True)
    for (images, count), (label, _) in pairs:
        gradient = compiled_loss_gradient(loss_fn, logits_fn, images, label)
        axes = list(range(1, gradient.shape.rank))
        found.append(tf.reduce_all(gradient == 0.0, axes).numpy()[:count])
    return np.concatenate(found)
