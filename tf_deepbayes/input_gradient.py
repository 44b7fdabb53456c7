"""The gradient of log weights with respect to x, of the terms that count only.

The gradient of a loss is Σ over (k, c) of coefficient · ∇ₓ log w(k, c), and many coefficients
(posterior × importance weight) are below what float32 resolves. The forward pass keeps nothing;
here the terms with a coefficient that counts are decoded once more, in blocks of bounded memory,
forwards and backwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tf_deepbayes.axes import Draw, Tensor
from tf_deepbayes.terms import Leaves, SingleTerms, Weigh

if TYPE_CHECKING:
    from tf_deepbayes.classifier import LatentClassifier

# Terms below this share of their image's largest coefficient are left out: float32's resolution.
NEGLIGIBLE = 2.0**-24


def counting(coefficients: Tensor, negligible: Tensor | float = NEGLIGIBLE) -> Tensor:
    """Which of the coefficients `[K, C, B]` count for the gradient of their image, bool."""
    size = tf.abs(coefficients)
    return size > negligible * tf.reduce_max(size, axis=[0, 1], keepdims=True)


def input_gradient(
    model: LatentClassifier,
    weigh: Weigh,
    x: Tensor,
    draw: Draw,
    coefficients: Tensor,
    block: Tensor,
    negligible: float = NEGLIGIBLE,
) -> Tensor:
    """Σ over (k, c) of coefficients `[K, C, B]` · ∇ₓ log w(k, c, b), `[B, …]`.

    Args:
        weigh: {factor: log density} → log w.
        draw: the samples that the coefficients belong to.
        block: terms decoded at a time.
        negligible: share of the image's largest coefficient below which a term is left out.
    """
    with tf.GradientTape() as tape:
        tape.watch(x)
        leaves = Leaves.of(model, x)
    counts = counting(coefficients, negligible)
    num_samples, batch = tf.shape(coefficients)[0], tf.shape(x)[0]
    num_classes = model.architecture.num_classes
    # As many samples at a time as fit in a block, so that the noise held does not grow with K.
    step = tf.clip_by_value(block // tf.maximum(num_classes * batch, 1), 1, num_samples)

    def sample_block(first: Tensor, sums: Leaves) -> tuple[Tensor, Leaves]:
        last = tf.minimum(first + step, num_samples)
        noise = draw.every(first, last, num_classes, batch)
        single = SingleTerms(model, weigh, leaves, noise, draw.is_z)
        terms = tf.cast(tf.where(counts[first:last]), tf.int32)
        own = tf.gather_nd(coefficients[first:last], terms)
        return last, single.add_gradients(sums, terms, own, block)

    zeros = tf.nest.map_structure(tf.zeros_like, leaves)
    _, sums = tf.while_loop(
        lambda first, _: first < num_samples, sample_block, (0, zeros), parallel_iterations=1
    )
    return tape.gradient(leaves, x, output_gradients=sums, unconnected_gradients="zero")
