"""Time and floating-point operations of the things that the benchmark compares."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.models.layers.networks import KERNEL_SIZE

Timed = Callable[[], Any]

MATRIX = 2048  # rows and columns of the product whose rate stands for what the machine can do
MATRIX_PRODUCT_FLOPS = 2 * MATRIX**3
# Processor time does not run while other processes have the processor.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def alternate(
    functions: dict[str, Timed], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each, timed in turn after one call each to trace."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            started = clock()
            function()
            times[name].append(clock() - started)
    return {name: statistics.median(found) for name, found in times.items()}


def matrix_product() -> Timed:
    """A product of two square matrices of `MATRIX` rows."""
    factor = tf.random.stateless_normal([MATRIX, MATRIX], [0, 0])
    product = tf.function(lambda: tf.matmul(factor, factor))
    return lambda: product()


def decode_flops(architecture: Architecture, num_inputs: int, num_outputs: int) -> int:
    """Multiplications and additions of one decode as the layers are defined, every tap counted.

    Args:
        num_inputs: size of z, and of y where the decoder sees it.
        num_outputs: channels of the decoder's output.
    """
    sizes = [height * width for height, width in architecture.spatial_sizes()]
    channels = [num_outputs, *architecture.channels]
    dense = architecture.dim_h * (num_inputs + sizes[-1] * channels[-1])
    transposed = sum(
        KERNEL_SIZE**2 * pixels * given * made
        for pixels, given, made in zip(sizes[1:], channels[1:], channels[:-1], strict=True)
    )
    return 2 * (dense + transposed)
