"""Dense layers with dropout, whose masks are drawn or given."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array, Tensor
from tf_deepbayes.models.layers.networks import DenseStack, Seeds


class DropoutStack(keras.layers.Layer):
    """Hidden ReLU layers, then a linear layer; dropout before each of them."""

    def __init__(self, size: int, sizes: list[int], rate: float, seeds: Seeds) -> None:
        super().__init__(name="head", dtype="float32")
        self.stack, self.rate = DenseStack([size], sizes, seeds), rate
        self.built = True

    def call(self, features: Tensor, seeds: Tensor | None = None) -> Tensor:
        """`[B, size]` → `[B, C]`; each image has its own masks, or none without seeds `[2]`."""
        masks = [] if seeds is None else self.masks(tf.shape(features)[0], seeds)
        return self.masked(features, masks)

    def masks(self, count: int | Tensor, seeds: Tensor) -> list[Tensor]:
        """Masks for `count` images from seeds `[2]`, `[B, inputs]` per dense layer, or none."""
        masks = []
        for layer in self.stack.dense if self.rate else ():
            seeds, own = tf.unstack(tf.random.experimental.stateless_split(seeds, 2))
            ones = tf.ones([count, layer.kernel.shape[0]])
            masks.append(tf.nn.experimental.stateless_dropout(ones, self.rate, own))
        return masks

    def fixed_masks(self, num_samples: int, seed: int) -> list[Array]:
        """The masks of K passes, shared by all images, `[K, inputs]` per dense layer."""
        random, keep = np.random.default_rng(seed), 1.0 - self.rate
        shapes = [(num_samples, layer.kernel.shape[0]) for layer in self.stack.dense]
        return [((random.random(shape) < keep) / keep).astype(np.float32) for shape in shapes]

    def masked(self, features: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """`[B, size]` → `[B, C]` with a given mask for each dense layer, or no masks at all.

        A mask is `[inputs]`, the same for all images, or `[B, inputs]`.
        """
        if not masks:
            return tf.cast(self.stack(features), tf.float32)
        hidden = features
        for layer, mask in zip(self.stack.dense, masks, strict=True):
            hidden = layer(hidden * tf.cast(mask, hidden.dtype))
        return tf.cast(hidden, tf.float32)  # layers may compute in bfloat16; logits stay float32
