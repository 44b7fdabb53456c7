"""Attacks that imitate a clean image of another class (Tramèr et al. 2020, section on this model).

An image with the logits, or features, of a clean image gets the same class and passes every
detector that the clean image passes.
"""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from scipy.spatial.distance import cdist

from tf_deepbayes.attacks.base import AttackedBatch
from tf_deepbayes.attacks.losses import Loss
from tf_deepbayes.attacks.white_box.pgd import PGD
from tf_deepbayes.core.axes import Array, FeaturesFn, LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest
from tf_deepbayes.core.metrics import predict
from tf_deepbayes.core.validation import check_labels, check_pixels


@dataclasses.dataclass(frozen=True, eq=False)
class GuideImages:
    """Clean images to imitate.

    Attributes:
        images: `[M, H, W, channels]` in [0, 1]; not among those attacked.
        labels: the classes they belong to, `[M]`.
    """

    images: Array
    labels: Array

    def __post_init__(self) -> None:
        check_pixels(self.images)
        check_labels(self.labels, count=len(self.images))

    @classmethod
    def of_right(
        cls, logits_fn: LogitsFn, x: Array, labels: Array, batch_size: int = 100
    ) -> "GuideImages":
        """The images that the classifier gets right."""
        right = predict(logits_fn, x, batch_size).argmax(1) == labels
        return cls(x[right], labels[right])

    def __repr__(self) -> str:
        return f"GuideImages({len(self.images)} images)"

    def settings(self) -> dict[str, Any]:
        """What identifies the images."""
        return {"num_images": len(self.images), "digest": digest(self.images, self.labels)}


@dataclasses.dataclass(frozen=True)
class LogitMatching(PGD):
    """PGD down ‖f(x′) − f(g)‖², g the guide image of another class with f nearest to f(x).

    With `targeted`, y is the class of g. The default of a hundred steps is the source's.

    Attributes:
        guides: the images g is taken from.
        pool: the earlier name of `guides`, kept for one release.
    """

    name: ClassVar[str] = "matching"
    only_misclassifies: ClassVar[bool] = False  # it imitates, to mislead detectors too
    nb_iter: int = 100
    guides: GuideImages | None = None
    pool: dataclasses.InitVar[GuideImages | None] = None

    def __post_init__(self, pool: GuideImages | None) -> None:  # type: ignore[override]
        super().__post_init__()
        if pool is not None:
            object.__setattr__(self, "guides", pool)
        if not isinstance(self.guides, GuideImages | None):
            raise InputError(f"guides must be GuideImages, got {type(self.guides).__name__}")

    def loss_fn(self) -> Loss:
        """See `IterativeAttack.loss_fn`."""
        return squared_distance

    def attack_batch(
        self, logits_fn: FeaturesFn, target_fn: LogitsFn, x: Tensor, y: Tensor, eps: float
    ) -> AttackedBatch:
        """See `Attack.attack_batch`."""
        goals = self.guide_logits(logits_fn, x, y)
        return self.climb(logits_fn, target_fn, x, goals, eps, descend=True)

    def guide_logits(self, features_fn: FeaturesFn, x: Tensor, y: Tensor) -> Tensor:
        """f(g) of each image, `[B, …]`."""
        if self.guides is None:
            raise InputError(f"{type(self).__name__} needs images to imitate; give it guides")
        guides = predict(features_fn, np.asarray(self.guides.images, np.float32), len(x))
        own = predict(features_fn, x.numpy(), len(x))
        flat = own.reshape(len(own), -1), guides.reshape(len(guides), -1)
        distances = cdist(*flat, "sqeuclidean")
        allowed = (self.guides.labels[None] == y.numpy()[:, None]) == self.targeted
        if not allowed.any(1).all():
            raise InputError(
                "no guide to imitate for some of the labels; add images of "
                + ("every target class" if self.targeted else "at least two classes")
            )
        return tf.constant(guides[np.where(allowed, distances, np.inf).argmin(1)])


@dataclasses.dataclass(frozen=True)
class FeatureMatching(LogitMatching):
    """`LogitMatching` of features, from any network."""

    name: ClassVar[str] = "feature_matching"
    uses: ClassVar[str] = "features"


def squared_distance(goal: Tensor, features: Tensor) -> Tensor:
    """‖features − goal‖², both `[B, …]` → `[B]`."""
    squares = tf.square(features - goal)
    return tf.reduce_sum(tf.reshape(squares, [tf.shape(squares)[0], -1]), 1)
