"""The gradient of log weights with respect to x, of the terms that count only.

The gradient of a loss is Σ over (k, c) of coefficient · ∇ₓ log w(k, c), and on trained models most
coefficients (posterior × importance weight) are below what float32 resolves. The forward pass
keeps nothing; here the terms with a coefficient that counts are decoded once more, in blocks of
bounded memory, forwards and backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import tensorflow as tf

from tf_deepbayes.axes import Draw, Tensor, Terms
from tf_deepbayes.conditionals import Observed

if TYPE_CHECKING:
    from tf_deepbayes.classifier import LatentClassifier

Weigh: TypeAlias = Callable[[Terms], Tensor]

# Terms below float32's resolution of their image's largest coefficient are left out.
NEGLIGIBLE = 2.0**-24


class Leaves(NamedTuple):
    """What the terms of a batch depend on and x alone determines.

    Attributes:
        loc: mean of q(z|x,y), `[C, B, dim_z]`.
        scale: its standard deviation, `[C, B, dim_z]`.
        observed: pixels and the factors' features of x, `[B, …]`.
    """

    loc: Tensor
    scale: Tensor
    observed: Observed

    @classmethod
    def of(cls, model: LatentClassifier, x: Tensor) -> Leaves:
        """The leaves of a batch `[B, …]`, for all classes."""
        observed = model.observe(x)
        y = tf.eye(model.architecture.num_classes)[:, None, :]
        q = model.q_z_xy(observed, y).distribution
        features = {n: f for n, f in observed.features.items() if n != model.q_z_xy.name}
        return cls(q.loc, q.scale, Observed(observed.pixels, features))

    def rows(self, classes: Tensor, images: Tensor) -> Leaves:
        """Those of M (class, image) pairs, each pair an image of its own: `[1, M, …]`, `[M, …]`."""
        pairs = tf.stack([classes, images], axis=1)
        take = lambda value: tf.gather(value, images)  # noqa: E731
        return Leaves(
            tf.gather_nd(self.loc, pairs)[None],
            tf.gather_nd(self.scale, pairs)[None],
            Observed(
                take(self.observed.pixels), tf.nest.map_structure(take, self.observed.features)
            ),
        )

    def plus(self, classes: Tensor, images: Tensor, rows: Leaves) -> Leaves:
        """These with `rows` added at their (class, image) pairs."""
        pairs = tf.stack([classes, images], axis=1)
        add = lambda total, part: tf.tensor_scatter_nd_add(total, images[:, None], part)  # noqa: E731
        return Leaves(
            tf.tensor_scatter_nd_add(self.loc, pairs, rows.loc[0]),
            tf.tensor_scatter_nd_add(self.scale, pairs, rows.scale[0]),
            tf.nest.map_structure(add, self.observed, rows.observed),
        )


def counting(coefficients: Tensor) -> Tensor:
    """Which of the coefficients `[K, C, B]` count for the gradient of their image, bool."""
    size = tf.abs(coefficients)
    return size > NEGLIGIBLE * tf.reduce_max(size, axis=[0, 1], keepdims=True)


def input_gradient(
    model: LatentClassifier,
    weigh: Weigh,
    x: Tensor,
    draw: Draw,
    coefficients: Tensor,
    block: Tensor,
) -> Tensor:
    """Σ over (k, c) of coefficients `[K, C, B]` · ∇ₓ log w(k, c, b), `[B, …]`.

    Args:
        weigh: {factor: log density} → log w.
        draw: the samples that the coefficients belong to.
        block: terms decoded at a time.
    """
    with tf.GradientTape() as tape:
        tape.watch(x)
        leaves = Leaves.of(model, x)
    counts = counting(coefficients)
    num_samples, batch = tf.shape(coefficients)[0], tf.shape(x)[0]
    num_classes = model.architecture.num_classes
    # As many samples at a time as fit in a block, so that the noise held does not grow with K.
    step = tf.clip_by_value(block // tf.maximum(num_classes * batch, 1), 1, num_samples)

    def sample_block(first: Tensor, sums: Leaves) -> tuple[Tensor, Leaves]:
        last = tf.minimum(first + step, num_samples)
        noise = draw.noise(first, last)
        shape = [last - first, num_classes, batch, model.architecture.dim_z]
        terms = tf.cast(tf.where(counts[first:last]), tf.int32)
        part = coefficients[first:last]
        row_block = _RowGradients(model, weigh, leaves, tf.broadcast_to(noise, shape), draw.is_z)
        return last, row_block.add(sums, terms, tf.gather_nd(part, terms), block)

    zeros = tf.nest.map_structure(tf.zeros_like, leaves)
    _, sums = tf.while_loop(
        lambda first, _: first < num_samples, sample_block, (0, zeros), parallel_iterations=1
    )
    return tape.gradient(leaves, x, output_gradients=sums, unconnected_gradients="zero")


class _RowGradients(NamedTuple):
    """Gradients of single terms with respect to the leaves."""

    model: LatentClassifier
    weigh: Weigh
    leaves: Leaves
    noise: Tensor  # [k, C, B, dim_z]
    is_z: bool

    def add(self, sums: Leaves, terms: Tensor, coefficients: Tensor, block: Tensor) -> Leaves:
        """`sums` and the gradients of `terms` (k, c, b) `[M, 3]`, a block of terms at a time."""

        def body(start: Tensor, sums: Leaves) -> tuple[Tensor, Leaves]:
            own = terms[start : start + block]
            gradient = self.gradient(own, coefficients[start : start + block])
            return start + block, sums.plus(own[:, 1], own[:, 2], gradient)

        total = tf.shape(terms)[0]
        return tf.while_loop(
            lambda start, _: start < total, body, (0, sums), parallel_iterations=1
        )[1]

    def gradient(self, terms: Tensor, coefficients: Tensor) -> Leaves:
        """Of each term with respect to its own leaves."""
        rows = self.leaves.rows(terms[:, 1], terms[:, 2])
        noise = tf.gather_nd(self.noise, terms)
        y = tf.one_hot(terms[:, 1], self.model.architecture.num_classes)[None]
        with tf.GradientTape() as tape:
            tape.watch(rows)
            z = noise[None, None] if self.is_z else rows.loc + rows.scale * noise[None, None]
            parts = self.model.terms(rows.observed, y, rows.loc, rows.scale, z)
            log_w = tf.reshape(self.weigh(parts), [-1])
        return tape.gradient(
            log_w, rows, output_gradients=coefficients, unconnected_gradients="zero"
        )
