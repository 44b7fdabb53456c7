"""The last transposed convolution against Keras' own layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.rounding import assert_close
from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.models.layers.subpixel import SubpixelTranspose


def values_and_gradients(layer: keras.layers.Layer, x: Tensor) -> list[np.ndarray]:
    """The layer's output, and the gradients of its random projection: input's, kernel's."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = layer(x)
        loss = tf.reduce_sum(found * tf.random.stateless_normal(found.shape, [0, 1]))
    return [found.numpy(), *(g.numpy() for g in tape.gradient(loss, [x, layer.kernel.value]))]


@pytest.mark.parametrize("filters", [1, 2, 3])
@pytest.mark.parametrize("size", [(28, 28), (27, 32), (30, 13), (2, 1)])
def test_equals_the_transposed_convolution(filters: int, size: tuple[int, int]) -> None:
    inputs = [-(-length // 2) for length in size]
    x = tf.random.stateless_normal([3, *inputs, 4], [0, 0])
    padding = tuple(1 - length % 2 for length in size)
    plain = keras.layers.Conv2DTranspose(
        filters, 5, 2, "same", output_padding=padding, use_bias=False
    )
    layer = SubpixelTranspose(filters, 5, size)
    plain.build(x.shape)
    layer.build(x.shape)
    layer.kernel.assign(plain.kernel)
    for ours, expected in zip(
        values_and_gradients(layer, x), values_and_gradients(plain, x), strict=True
    ):
        assert ours.shape == expected.shape
        assert_close(ours, expected)
