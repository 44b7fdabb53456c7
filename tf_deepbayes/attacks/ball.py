"""The ball around an image: projection onto it, and random numbers for each image.

Random numbers come from a seed computed from the image's own pixels, so an image is attacked
identically in every batch and at every position in it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from cleverhans.tf2.utils import clip_eta

from tf_deepbayes.core.axes import PIXEL_MAX, PIXEL_MIN, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import is_number, shown

# A prime far above the seeds people choose: the draws of seeds 0, 1, 2 … do not overlap.
STRIDE = 1_000_003


def check_norm(norm: float) -> None:
    """InputError unless the norm is l∞ or l2."""
    if not (is_number(norm) and norm in (np.inf, 2)):
        raise InputError(f"norm must be inf or 2, got {shown(norm)}")


def project(x: Tensor, moved: Tensor, eps: Tensor, norm: float) -> Tensor:
    """`moved`, clipped to [0, 1] and projected onto the ball of radius eps around x."""
    moved = tf.clip_by_value(moved, PIXEL_MIN, PIXEL_MAX)
    return tf.clip_by_value(x + clip_eta(moved - x, norm, eps), PIXEL_MIN, PIXEL_MAX)


def size_of(difference: Tensor, norm: float) -> Tensor:
    """The norm of each image's difference, `[B, 1, 1, 1]`."""
    axes = list(range(1, difference.shape.rank))
    if norm == np.inf:
        return tf.reduce_max(tf.abs(difference), axes, keepdims=True)
    return tf.sqrt(tf.reduce_sum(tf.square(difference), axes, keepdims=True))


def image_seeds(x: Tensor, seed: int) -> Tensor:
    """A seed `[B, 2]` for each image, computed from its own pixels."""
    levels = tf.cast(tf.round(x * 65535.0), tf.int64)
    flat = tf.reshape(levels, [tf.shape(x)[0], -1])
    digests = tf.reduce_sum(flat * tf.range(1, tf.shape(flat, tf.int64)[1] + 1), axis=1)
    return tf.stack([tf.fill(digests.shape, tf.constant(seed, tf.int64)), digests], axis=1)


def later_seeds(seeds: Tensor, index: Tensor) -> Tensor:
    """The seeds of draw number `index` (one, or one per row), different for each number."""
    first, digests = tf.unstack(seeds, axis=1)
    return tf.stack([first + STRIDE * tf.cast(index, tf.int64), digests], axis=1)


def uniform(seeds: Tensor, shape: Sequence[int]) -> Tensor:
    """Uniform numbers in [0, 1), `[B, *shape]`."""
    return _drawn(tf.random.stateless_uniform, seeds, shape)


def symmetric_uniform(seeds: Tensor, shape: Sequence[int]) -> Tensor:
    """Uniform numbers in [−1, 1), `[B, *shape]`."""
    return 2.0 * uniform(seeds, shape) - 1.0


def normal(seeds: Tensor, shape: Sequence[int]) -> Tensor:
    """Standard normal numbers, `[B, *shape]`."""
    return _drawn(tf.random.stateless_normal, seeds, shape)


def signs(seeds: Tensor, shape: Sequence[int]) -> Tensor:
    """−1 or 1 with equal probability, `[B, *shape]`."""
    return tf.where(uniform(seeds, shape) < 0.5, -1.0, 1.0)


def uniform_in_ball(seeds: Tensor, shape: Sequence[int], eps: Tensor, norm: float) -> Tensor:
    """A uniform draw from the ball around 0 for each image, `[B, *shape]`."""
    if norm == np.inf:
        return eps * symmetric_uniform(seeds, shape)
    direction = normal(seeds, shape)
    share = uniform(seeds + 1, [1] * len(shape)) ** (1.0 / np.prod(shape))
    return eps * share * direction / size_of(direction, 2)


def _drawn(draw: Callable[..., Tensor], seeds: Tensor, shape: Sequence[int]) -> Tensor:
    signature = tf.TensorSpec(list(shape))
    return tf.map_fn(lambda seed: draw(shape, seed), seeds, fn_output_signature=signature)
