"""The optimizer of the published code."""

import keras
import tensorflow as tf

from tf_deepbayes.core.axes import Tensor

# TensorFlow 1's default; Keras has 1e-7.
EPSILON = 1e-8


class PublishedAdam(keras.optimizers.Adam):
    """Adam with the kernel of TensorFlow 1: one pass over weights and moments, ε = 1e-8.

    Keras does the same update in a dozen operations on whole arrays, a sixth of the time of a
    training step here (`make bench` times both).
    """

    def __init__(self, learning_rate: float) -> None:
        super().__init__(learning_rate, epsilon=EPSILON)

    def update_step(self, gradient: Tensor, variable: tf.Variable, learning_rate: Tensor) -> None:
        """See `keras.optimizers.Adam.update_step`."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )
