"""The transposed convolution that ends a decoder, as a sub-pixel convolution (Shi et al. 2016).

A transposed convolution to one or three channels leaves a vector unit of 16 mostly idle. As a
plain convolution whose output channels are the pixels of a tile (then placed side by side), it does
more multiplications in a third of the time. Its input gradient is already a convolution with many
output channels and is left as it is.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array, Tensor

STRIDE = 2
# A tile of 4×4 pixels in up to this many channels (at most 32 outputs), else of 2×2: measured.
MOST_CHANNELS_OF_LARGE_TILES = 2


class SubpixelTranspose(keras.layers.Conv2DTranspose):
    """A stride-2 `same` transposed convolution without bias or activation, with the same weights.

    Args:
        size: height and width of the output; the input has half of each, rounded up.
    """

    def __init__(self, filters: int, kernel_size: int, size: tuple[int, int], **options: Any):
        super().__init__(filters, kernel_size, STRIDE, padding="same", use_bias=False, **options)
        self.size = size

    def call(self, inputs: Tensor) -> Tensor:
        """`[N, h, w, channels]` → `[N, *size, filters]`."""
        return _transposed(inputs, tf.convert_to_tensor(self.kernel), self.size)


def _transposed(x: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """x `[N, h, w, i]`, kernel `[t, t, o, i]` → `[N, *size, o]`."""

    @tf.custom_gradient
    def function(x: Tensor, kernel: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            of_kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=upstream,
                filter_sizes=kernel.shape,
                out_backprop=x,
                strides=[1, STRIDE, STRIDE, 1],
                padding="SAME",
            )
            return tf.nn.conv2d(upstream, kernel, STRIDE, "SAME"), of_kernel

        return _in_tiles(x, kernel, size), gradient

    return function(x, kernel)


def _in_tiles(x: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """Each `step`×`step` inputs give a tile of 2·step × 2·step pixels."""
    taps, _, filters, channels = kernel.shape
    step = 2 if filters <= MOST_CHANNELS_OF_LARGE_TILES else 1
    tile = STRIDE * step
    # Per axis: number of tiles, first tap's offset, padding before and after.
    (rows, top, above, below), (columns, left, before, after) = (
        _extent(length, taps, step) for length in size
    )
    down, across = _selection(taps, step, top), _selection(taps, step, left)
    select = [tf.cast(selection, kernel.dtype) for selection in (down, across)]
    kernels = tf.einsum("iat,jbu,tuoc->ijcabo", *select, kernel)
    kernels = tf.reshape(kernels, [len(down), len(across), channels, tile * tile * filters])
    padding = [[0, 0], [above, below], [before, after], [0, 0]]
    tiles = tf.nn.conv2d(x, kernels, step, padding)
    tiles = tf.reshape(tiles, [-1, rows, columns, tile, tile * filters])
    pixels = tf.transpose(tiles, [0, 1, 3, 2, 4])  # faster than depth_to_space
    pixels = tf.reshape(pixels, [-1, rows * tile, columns * tile, filters])
    return pixels[:, : size[0], : size[1]]


def _extent(length: int, taps: int, step: int) -> tuple[int, int, int, int]:
    """(tiles, first tap's offset, padding before, padding after) of one axis."""
    inputs = -(-length // STRIDE)
    tiles = -(-inputs // step)
    offset = max((inputs - 1) * STRIDE + taps - length, 0) // 2
    first, last = _reach(taps, step, offset)
    return tiles, offset, -first, (tiles - 1) * step + last + 1 - inputs


def _reach(taps: int, step: int, offset: int) -> tuple[int, int]:
    """First and last input that affect the pixels of the first tile."""
    return -((taps - 1 - offset) // STRIDE), (STRIDE * step - 1 + offset) // STRIDE


def _selection(taps: int, step: int, offset: int) -> Array:
    """`[inputs of a tile, pixels of a tile, taps]`: 1 where the tap joins them."""
    first, last = _reach(taps, step, offset)
    inputs, pixels, tap = np.ogrid[first : last + 1, : STRIDE * step, :taps]
    return (tap == pixels - STRIDE * inputs + offset).astype(np.float32)
