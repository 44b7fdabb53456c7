"""Random numbers of classifiers: where the next ones come from, and how to have them again."""

import numpy as np
import tensorflow as tf

from tf_deepbayes.axes import Tensor


def next_seeds(generator: tf.random.Generator, seed: int | Tensor | None, own: int) -> Tensor:
    """Seeds `[2]` of a call: made of the call's seed and the model's own, or new ones without it.

    The seed may be a tensor: an exported model has it as an input.
    """
    if seed is None:
        return generator.make_seeds(1)[:, 0]
    return tf.stack([tf.convert_to_tensor(seed, tf.int64), tf.constant(own, tf.int64)])


def reseed(generator: tf.random.Generator, seed: int, number: int) -> None:
    """Put a generator into a state that the seed and the number give.

    Work done in numbered pieces draws the same noise whether it was interrupted or not.
    """
    state = np.random.SeedSequence((seed, number)).generate_state(1)[0]
    generator.reset_from_seed(int(state))


def fixed_noise(num_samples: int, dim_z: int, seed: int = 0) -> Tensor:
    """The published `fix_samples` noise, one set of K draws for every image and class.

    `[K, 1, 1, dim_z]`; the published seed is 0.
    """
    draws = np.random.RandomState(seed * 100).randn(num_samples, dim_z)
    return tf.constant(draws[:, None, None, :], tf.float32)
