"""Two clean images that all others are made to look like."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest
from tf_deepbayes.core.validation import check_labels, check_pixels


@dataclasses.dataclass(frozen=True, eq=False)
class Targets:
    """Every image imitates the first target; those of its class imitate the second.

    Attributes:
        images: `[2, H, W, channels]` in [0, 1].
        labels: their classes `[2]`, which differ.
    """

    images: Array
    labels: Array

    def __post_init__(self) -> None:
        check_pixels(self.images)
        labels = check_labels(self.labels)
        if len(self.images) != 2 or len(labels) != 2 or labels[0] == labels[1]:
            raise InputError(
                f"expected two targets of two classes, got {len(self.images)} images of classes "
                f"{labels.tolist()}"
            )

    def __repr__(self) -> str:
        return f"Targets(classes {self.labels.tolist()})"

    def settings(self) -> dict[str, Any]:
        """What identifies them."""
        return {"labels": np.asarray(self.labels).tolist(), "digest": digest(self.images)}

    def of(self, values: Tensor, y: Tensor) -> Tensor:
        """What each image of classes y `[B]` imitates, from that of both targets `[2, …]`."""
        return tf.gather(values, tf.cast(tf.equal(y, self.labels[0]), tf.int32))
