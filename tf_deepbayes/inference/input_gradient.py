"""The gradient of log weights with respect to x, of the terms that count only.

The gradient of a loss is Σ over (k, c) of coefficient · ∇ₓ log w(k, c), and many coefficients
(posterior × importance weight) are below what float32 resolves. Here the terms with a coefficient
that counts are gone through once more, in blocks of bounded memory: backwards where the forward
pass has kept what that takes (`saved_activations`), else forwards and backwards.
"""

from __future__ import annotations

import tensorflow as tf

from tf_deepbayes.core.axes import EXACT_TOLERANCE, Tensor, significant
from tf_deepbayes.inference import saved_activations
from tf_deepbayes.inference.terms import Block, Encoding, TermBlocks


def input_gradient(
    walk: TermBlocks,
    kept: saved_activations.SavedActivations,
    x: Tensor,
    coefficients: Tensor,
    negligible: float = EXACT_TOLERANCE,
) -> Tensor:
    """Σ over (k, c) of coefficients `[K, C, B]` · ∇ₓ log w(k, c, b), `[B, …]`.

    Args:
        walk: over the terms that the coefficients belong to.
        kept: what the same walk has kept going forwards.
        negligible: share of the image's largest coefficient below which a term is left out.
    """
    with tf.GradientTape() as tape:
        tape.watch(x)
        leaves = Encoding.of(walk.model, x)
    counts = significant(coefficients, negligible)

    def visit(block: Block, sums: Encoding) -> Encoding:
        rows = tf.where(block.values(counts))[:, 0]
        terms = tf.gather(block.terms, rows)
        own = tf.gather(block.values(coefficients), rows)
        written = kept.of(block.index)

        def again() -> Encoding:
            return sums.plus(terms[:, 1:], block.of.gradient(terms, own))

        def replayed() -> Encoding:
            with saved_activations.reusing([tf.gather(value, rows) for value in written]):
                return again()

        some = tf.shape(rows)[0] > 0
        if not written:
            return tf.cond(some, again, lambda: sums)
        is_kept = tf.shape(written[-1])[0] > 0
        return tf.case([(~some, lambda: sums), (is_kept, replayed)], again)

    sums = walk.over(leaves, visit, tf.nest.map_structure(tf.zeros_like, leaves))
    return tape.gradient(leaves, x, output_gradients=sums, unconnected_gradients="zero")
