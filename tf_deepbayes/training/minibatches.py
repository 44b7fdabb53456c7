"""The training images in memory, and the batches of an epoch."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.data.splits import Split

CPU = "/CPU:0"


def batches(
    split: Split, num_classes: int, batch_size: int, seed: int, epoch: int
) -> tf.data.Dataset:
    """The batches of `train` for Keras' `fit`: endless (pixels, label rows) pairs from `epoch` on.

    The order is a function of (seed, epoch), see `Batches`.
    """
    source = Batches(split, num_classes, batch_size, seed)
    epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
    steps = epochs.flat_map(lambda e: tf.data.Dataset.from_tensor_slices(source.order(e)))
    return steps.map(source.take).prefetch(2)


class ReplicaRows(NamedTuple):
    """Which rows of a batch one device computes: start … stop − 1 of `total`."""

    start: int
    stop: int
    total: int

    @classmethod
    def of_replica(cls, total: int) -> "ReplicaRows":
        """The rows of the current replica; sizes differ by at most one row."""
        context = tf.distribute.get_replica_context()
        count = context.num_replicas_in_sync
        index = int(tf.get_static_value(context.replica_id_in_sync_group))
        return cls(index * total // count, (index + 1) * total // count, total)

    @property
    def share(self) -> float:
        """Its share of the batch: the weight of its mean in the mean over the batch."""
        return (self.stop - self.start) / self.total


class Batches:
    """Images and labels as tensors, in batches whose order is a function of (seed, epoch).

    An incomplete last batch is dropped. The tensors stay in host memory: a GPU gets only the rows
    of one step.
    """

    def __init__(self, split: Split, num_classes: int, batch_size: int, seed: int) -> None:
        self.num_images, self.num_classes = len(split), num_classes
        self.batch_size, self.seed = batch_size, seed
        with tf.device(CPU):
            self.images, self.labels = tf.constant(split.images), tf.constant(split.labels)

    def order(self, epoch: Tensor) -> Tensor:
        """The rows of each batch in an epoch, `[batches, batch_size]`."""
        steps = self.num_images // self.batch_size
        rows = tf.random.experimental.stateless_shuffle(
            tf.range(self.num_images), tf.stack([tf.cast(self.seed, tf.int64), epoch])
        )
        return tf.reshape(rows[: steps * self.batch_size], [steps, self.batch_size])

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels in [0, 1] and label rows of these images.

        Label rows are one-hot, or the split's own class probabilities.
        """
        with tf.device(CPU):
            x, y = tf.gather(self.images, rows), tf.gather(self.labels, rows)
        pixels = x if x.dtype.is_floating else tf.cast(x, tf.float32) / 255.0
        return pixels, y if y.dtype.is_floating else tf.one_hot(y, self.num_classes)
