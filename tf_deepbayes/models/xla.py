"""The terms of the importance weights compiled by XLA, which recompiles for each shape.

This can only pay on a GPU: on a CPU the compiled convolutions are slower.
"""

import functools

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor, Terms
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.inference.latent_model import Observed
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.registry import Classifier


def compile_terms(model: Classifier) -> None:
    """Compile the costly part of a loaded classifier, before its first use.

    Noise is drawn outside, so it is the same as without compilation.

    Raises:
        InputError: the model is a baseline.
    """
    if not isinstance(model, LatentClassifier):
        raise InputError(
            f"jit_compile is for deep Bayes classifiers, got {type(model).__name__}; leave it out"
        )
    compiled = tf.function(model.terms, jit_compile=True, autograph=False)
    model.terms_fn = functools.partial(_padded, compiled)


def _padded(  # type: ignore[no-untyped-def]
    compiled, x: Observed, y: Tensor, loc: Tensor, scale: Tensor, z: Tensor
) -> Terms:
    """The terms of a batch padded to a power of two images.

    The number of terms in a gradient changes with each step of an attack; padding leaves few
    shapes. It repeats the last image, whose terms are finite, and drops the copies' terms.
    """
    count = tf.shape(x.pixels)[0]
    size = tf.bitwise.left_shift(1, _bits(count - 1))

    def fill(value: Tensor, axis: int) -> Tensor:
        own = tf.shape(value)[axis]
        rows = tf.minimum(tf.range(tf.where(own == 1, 1, size)), own - 1)
        return tf.gather(value, rows, axis=axis)

    observed = tf.nest.map_structure(lambda value: fill(value, 0), x)
    batch = (fill(value, axis) for value, axis in ((y, 1), (loc, 1), (scale, 1), (z, 2)))
    terms = compiled(observed, *batch)
    return {name: value[..., :count] for name, value in terms.items()}


def _bits(number: Tensor) -> Tensor:
    """Number of binary digits: 0 for 0, 3 for 5."""
    return tf.reduce_sum(tf.cast(number >= 2 ** tf.range(31), tf.int32))
