"""The shape law: leading axes `[K samples, C classes, B images]`, event axes last.

An axis that does not apply has length 1 or, at the left, is absent; arithmetic broadcasts and
nothing is tiled. Log densities are natural logarithms, in nats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

Array: TypeAlias = np.ndarray
Tensor: TypeAlias = tf.Tensor
Distribution: TypeAlias = tfp.distributions.Distribution
ArrayLike: TypeAlias = Any  # whatever tf.convert_to_tensor takes: a tensor, an array, nested lists
# factor → log density in nats, broadcastable to [K, C, B]
Terms: TypeAlias = dict[str, Tensor]
LogitsFn: TypeAlias = Callable[[Tensor], Tensor]  # [B, H, W, channels] -> [B, C]
LogWeightsFn: TypeAlias = Callable[[Tensor], Tensor]  # [B, H, W, channels] -> [K, C, B]
FeaturesFn: TypeAlias = Callable[[Tensor], Tensor]  # [B, H, W, channels] -> [B, …]


# Terms below this share of their image's largest coefficient are left out: float32's resolution.
EXACT_TOLERANCE = 2.0**-24


def significant(coefficients: Tensor, negligible: Tensor | float = EXACT_TOLERANCE) -> Tensor:
    """Which coefficients `[K, C, B]` are significant for their image's gradient, bool."""
    size = tf.abs(coefficients)
    return size > negligible * tf.reduce_max(size, axis=[0, 1], keepdims=True)


PIXEL_MIN, PIXEL_MAX = 0.0, 1.0


def log_mean_exp(log_values: Tensor, axis: int) -> Tensor:
    """log(mean(exp(v))) along `axis`; finite wherever one value is."""
    count = tf.cast(tf.shape(log_values)[axis], log_values.dtype)
    return tf.reduce_logsumexp(log_values, axis=axis) - tf.math.log(count)


def logits_of(log_weights: Tensor) -> Tensor:
    """log p̂(x, y_c) = logmeanexp_k of log weights `[K, C, B]` → `[B, C]`."""
    return tf.transpose(log_mean_exp(log_weights, axis=0))


def transposed(classes: ArrayLike) -> Tensor:
    """`[B, C]` bool → `[C, B]` and back; no kernel transposes bools."""
    return tf.transpose(tf.cast(classes, tf.float32)) > 0.0


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """(Σ_k w)² / Σ_k w² of `[K, C, B]` → `[B, C]`, from 1 (one sample has all the weight) to K."""
    log_ess = 2.0 * tf.reduce_logsumexp(log_weights, 0) - tf.reduce_logsumexp(2.0 * log_weights, 0)
    return tf.transpose(tf.exp(log_ess))


def over_leading_axes(network: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Apply a network that takes `[N, d]` to `[..., d]`; its result keeps the leading axes."""
    if inputs.shape.rank == 2:
        return network(inputs)
    outputs = network(tf.reshape(inputs, [-1, inputs.shape[-1]]))
    return tf.reshape(outputs, tf.concat([tf.shape(inputs)[:-1], tf.shape(outputs)[1:]], 0))


def compiled(function: Callable[..., Any], *signature: tf.TensorSpec) -> Any:
    """A graph of the function, traced once for tensors of any size that fit the signature."""
    return tf.function(function, input_signature=signature, autograph=False)


def by_autograph(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which AutoGraph converts when it is traced into a graph."""
    converted = tf.function(function)

    def either(*inputs: Any, **options: Any) -> Any:
        chosen = function if tf.executing_eagerly() else converted
        return chosen(*inputs, **options)

    return either


def map_blocks(block_fn: Callable[[Tensor, Tensor], Tensor], total: Tensor, size: Tensor) -> Tensor:
    """Concatenate block_fn(start, stop) along axis 0 over consecutive ranges of [0, total).

    The blocks run one after another, so a forward pass needs the memory of one block.
    """

    def body(start: Tensor, index: Tensor, results: tf.TensorArray) -> tuple:
        stop = tf.minimum(start + size, total)
        return stop, index + 1, results.write(index, block_fn(start, stop))

    empty = tf.TensorArray(tf.float32, size=0, dynamic_size=True, infer_shape=False)
    *_, results = tf.while_loop(
        lambda start, *_: start < total, body, (0, 0, empty), parallel_iterations=1
    )
    return results.concat()
