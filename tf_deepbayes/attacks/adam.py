"""Adam inside a compiled attack, where a Keras optimizer cannot keep its state."""

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def adam(
    i: Tensor, gradient: Tensor, m: Tensor, v: Tensor, learning_rate: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The descent update of step i = 0, 1, …, and the new moments.

    Kingma and Ba (2015), in the form given at the end of their section 2.
    """
    m = BETA_1 * m + (1.0 - BETA_1) * gradient
    v = BETA_2 * v + (1.0 - BETA_2) * tf.square(gradient)
    count = tf.cast(i + 1, tf.float32)
    rate = learning_rate * tf.sqrt(1.0 - BETA_2**count) / (1.0 - BETA_1**count)
    return -rate * m / (tf.sqrt(v) + EPSILON), m, v
