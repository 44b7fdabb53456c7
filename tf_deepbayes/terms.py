"""Log weights of single (sample, class, image) terms, for when only some of them are wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import tensorflow as tf

from tf_deepbayes.axes import Tensor, Terms
from tf_deepbayes.conditionals import Observed

if TYPE_CHECKING:
    from tf_deepbayes.classifier import LatentClassifier

Weigh: TypeAlias = Callable[[Terms], Tensor]  # {factor: log density} → log w


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

    def rows(self, pairs: Tensor) -> Leaves:
        """Those of M (class, image) `pairs` `[M, 2]`, each as an image: `[1, M, …]`, `[M, …]`."""
        take = lambda value: tf.gather(value, pairs[:, 1])  # noqa: E731
        return Leaves(
            tf.gather_nd(self.loc, pairs)[None],
            tf.gather_nd(self.scale, pairs)[None],
            tf.nest.map_structure(take, self.observed),
        )

    def plus(self, pairs: Tensor, rows: Leaves) -> Leaves:
        """These with `rows` added at their (class, image) pairs."""
        images = pairs[:, 1:]
        add = lambda total, part: tf.tensor_scatter_nd_add(total, images, part)  # noqa: E731
        return Leaves(
            tf.tensor_scatter_nd_add(self.loc, pairs, rows.loc[0]),
            tf.tensor_scatter_nd_add(self.scale, pairs, rows.scale[0]),
            tf.nest.map_structure(add, self.observed, rows.observed),
        )


class SingleTerms(NamedTuple):
    """The terms of some samples of a batch, one by one.

    Attributes:
        noise: `[k, C, B, dim_z]` of the samples.
        is_z: whether that is z itself.
    """

    model: LatentClassifier
    weigh: Weigh
    leaves: Leaves
    noise: Tensor
    is_z: bool

    def log_weights(self, terms: Tensor) -> Tensor:
        """log w of terms (k, c, b) `[M, 3]` → `[M]`."""
        return self._log_weights(terms, self.leaves.rows(terms[:, 1:]))

    def add_gradients(
        self, sums: Leaves, terms: Tensor, coefficients: Tensor, block: Tensor
    ) -> Leaves:
        """`sums` plus coefficient `[M]` · ∇ log w of the terms, `block` terms at a time."""

        def body(start: Tensor, sums: Leaves) -> tuple[Tensor, Leaves]:
            own = terms[start : start + block]
            gradient = self._gradient(own, coefficients[start : start + block])
            return start + block, sums.plus(own[:, 1:], gradient)

        total = tf.shape(terms)[0]
        return tf.while_loop(
            lambda start, _: start < total, body, (0, sums), parallel_iterations=1
        )[1]

    def _log_weights(self, terms: Tensor, rows: Leaves) -> Tensor:
        noise = tf.gather_nd(self.noise, terms)[None, None]
        y = tf.one_hot(terms[:, 1], self.model.architecture.num_classes)[None]
        z = noise if self.is_z else rows.loc + rows.scale * noise
        parts = self.model.terms(rows.observed, y, rows.loc, rows.scale, z)
        return tf.reshape(self.weigh(parts), [-1])

    def _gradient(self, terms: Tensor, coefficients: Tensor) -> Leaves:
        rows = self.leaves.rows(terms[:, 1:])
        with tf.GradientTape() as tape:
            tape.watch(rows)
            log_w = self._log_weights(terms, rows)
        return tape.gradient(
            log_w, rows, output_gradients=coefficients, unconnected_gradients="zero"
        )
