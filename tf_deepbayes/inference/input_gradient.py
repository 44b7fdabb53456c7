"""The gradient of log weights with respect to x, from the significant terms only.

The gradient of a loss is Σ over (k, c) of coefficient · ∇ₓ log w(k, c), and many coefficients
(posterior × importance weight) are below float32 resolution. A second pass visits the terms with
a significant coefficient, in blocks of bounded memory: backward only where the forward pass saved
its activations (`saved_activations`), else forward and backward.
"""

from __future__ import annotations

import tensorflow as tf

from tf_deepbayes.core.axes import EXACT_TOLERANCE, Tensor, significant
from tf_deepbayes.inference import saved_activations
from tf_deepbayes.inference.blocks import Block, TermBlocks
from tf_deepbayes.inference.encoding import Encoding


def input_gradient(
    terms: TermBlocks,
    saved: saved_activations.SavedActivations,
    x: Tensor,
    coefficients: Tensor,
    tolerance: float = EXACT_TOLERANCE,
) -> Tensor:
    """Σ over (k, c) of coefficients `[K, C, B]` · ∇ₓ log w(k, c, b), `[B, …]`.

    A mixture has K·C draws: `[K·C, C, B]`; a point counts if one of its C coefficients does.

    Args:
        terms: the terms that the coefficients belong to.
        saved: what the forward pass over the same terms saved.
        tolerance: terms below this share of the image's largest coefficient are left out.
    """
    with tf.GradientTape() as tape:
        tape.watch(x)
        encoding = Encoding.of(terms.density.model, x)
    is_significant = tf.reduce_any(terms.by_class(significant(coefficients, tolerance)), -1)
    by_class = terms.by_class(coefficients)

    def visit(block: Block, sums: Encoding) -> Encoding:
        rows = tf.where(block.values(is_significant))[:, 0]
        chosen, own = block.take(rows), tf.gather(block.values(by_class), rows)
        saved_arrays = saved.of(block.index)

        def decoded() -> Encoding:
            return chosen.add_gradient(sums, own)

        def reused() -> Encoding:
            with saved_activations.reusing([tf.gather(value, rows) for value in saved_arrays]):
                return decoded()

        some = tf.shape(rows)[0] > 0
        if not saved_arrays:
            return tf.cond(some, decoded, lambda: sums)
        is_saved = tf.shape(saved_arrays[-1])[0] > 0
        return tf.case([(~some, lambda: sums), (is_saved, reused)], decoded)

    sums = terms.fold(encoding, visit, tf.nest.map_structure(tf.zeros_like, encoding))
    return tape.gradient(encoding, x, output_gradients=sums, unconnected_gradients="zero")
