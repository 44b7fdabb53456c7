"""The encoder's output, computed once per image and class: all that log weights need of x."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.inference.latent_model import LatentModel, Observed


class Encoding(NamedTuple):
    """q(z|x,y) for every class, and the features of x.

    Attributes:
        loc: mean of q(z|x,y), `[C, B, dim_z]`.
        scale: its standard deviation, `[C, B, dim_z]`.
        observed: pixels and the factors' features of x, `[B, …]`.
    """

    loc: Tensor
    scale: Tensor
    observed: Observed

    @classmethod
    def of(cls, model: LatentModel, x: Tensor) -> Encoding:
        """The encoding of a batch `[B, …]` for all classes."""
        observed = model.observe(x)
        y = tf.eye(model.architecture.num_classes)[:, None, :]
        q = model.q_z_xy(observed, y).distribution
        features = {n: f for n, f in observed.features.items() if n != model.q_z_xy.name}
        return cls(q.loc, q.scale, Observed(observed.pixels, features))

    def images(self, start: Tensor, stop: Tensor) -> Encoding:
        """The encoding of the images start … stop − 1."""
        loc, scale = self.loc[:, start:stop], self.scale[:, start:stop]
        return Encoding(loc, scale, self.observed.images(start, stop))

    def gather(self, pairs: Tensor) -> Encoding:
        """The rows at (class, image) `pairs` `[M, 2]`, each as an image: `[1, M, …]`, `[M, …]`."""
        take = lambda value: tf.gather(value, pairs[:, 1])  # noqa: E731
        return Encoding(
            tf.gather_nd(self.loc, pairs)[None],
            tf.gather_nd(self.scale, pairs)[None],
            tf.nest.map_structure(take, self.observed),
        )

    def scatter_add(self, pairs: Tensor, rows: Encoding) -> Encoding:
        """This encoding with `rows` added at their (class, image) pairs."""
        images = pairs[:, 1:]
        add = lambda total, part: tf.tensor_scatter_nd_add(total, images, part)  # noqa: E731
        return Encoding(
            tf.tensor_scatter_nd_add(self.loc, pairs, rows.loc[0]),
            tf.tensor_scatter_nd_add(self.scale, pairs, rows.scale[0]),
            tf.nest.map_structure(add, self.observed, rows.observed),
        )

    def gather_images(self, images: Tensor) -> Encoding:
        """The rows of `images` `[M]` for every class: `[C, M, …]`, `[M, …]`."""
        return Encoding(
            tf.gather(self.loc, images, axis=1),
            tf.gather(self.scale, images, axis=1),
            tf.nest.map_structure(lambda value: tf.gather(value, images), self.observed),
        )

    def scatter_add_images(self, images: Tensor, rows: Encoding) -> Encoding:
        """This encoding with `rows` of `gather_images` added at their images."""

        def add(total: Tensor, part: Tensor) -> Tensor:
            return tf.tensor_scatter_nd_add(total, images[:, None], part)

        def add_classes(total: Tensor, part: Tensor) -> Tensor:
            first = [1, 0, 2]
            return tf.transpose(add(tf.transpose(total, first), tf.transpose(part, first)), first)

        return Encoding(
            add_classes(self.loc, rows.loc),
            add_classes(self.scale, rows.scale),
            tf.nest.map_structure(add, self.observed, rows.observed),
        )
