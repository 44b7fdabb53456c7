"""Sums over random samples around each image, in bounded memory."""

from collections.abc import Callable

import tensorflow as tf

from tf_deepbayes.attacks.ball import later_seeds
from tf_deepbayes.core.axes import Tensor


def repeated(values: Tensor, times: int) -> Tensor:
    """`[B, …]` → `[times · B, …]`, the whole batch repeated."""
    return tf.tile(values, [times] + [1] * (values.shape.rank - 1))


def sum_over_samples(
    sample_fn: Callable[[Tensor], Tensor],
    zero: Tensor,
    seeds: Tensor,
    first: Tensor,
    count: Tensor,
    at_once: int,
) -> Tensor:
    """The sum over `count` samples of each image, `at_once` of them per call.

    Args:
        sample_fn: seeds `[at_once · B, 2]`, laid out as by `repeated` → the terms of these rows.
        zero: the empty sum, `[B, …]`.
        seeds: the images' seeds `[B, 2]`.
        first: number of the first sample; different numbers are different samples.

    Returns:
        `[B, …]`.
    """
    batch = seeds.shape[0]

    def terms(start: Tensor) -> Tensor:
        index = start + tf.range(at_once)
        rows = tf.repeat(tf.cast(first + index, tf.int64), batch)
        values = sample_fn(later_seeds(repeated(seeds, at_once), rows))
        values = tf.reshape(values, [at_once, batch, *values.shape[1:]])
        counts = tf.reshape(index < count, [-1] + [1] * (values.shape.rank - 1))
        return tf.reduce_sum(tf.where(counts, values, 0.0), axis=0)

    _, total = tf.while_loop(
        lambda start, _: start < count,
        lambda start, total: (start + at_once, total + terms(start)),
        (0, zero),
        parallel_iterations=1,
    )
    return total
