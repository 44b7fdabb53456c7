"""Images and labels of one split."""

import dataclasses

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_features, check_images, check_labels


@dataclasses.dataclass(frozen=True)
class Split:
    """Images uint8 or float32 in [0, 1], `[N, H, W, channels]`, and labels int64 `[N]`.

    Instead of images there may be feature vectors, floats `[N, size]` of any range. Soft labels are
    float class probabilities `[N, C]`, C at least 2.

    Raises:
        InputError: images or labels of another kind, or not as many of both; see `check_images` and
            `check_labels`.
    """

    images: Array
    labels: Array

    def __post_init__(self) -> None:
        images, labels = np.asanyarray(self.images), np.asarray(self.labels)
        is_vectors = images.ndim == 2 and images.dtype.kind == "f"
        images = check_features(images) if is_vectors else check_images(images)
        if not (labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind == "f"):
            labels = check_labels(labels)
        if len(images) != len(labels):
            raise InputError(
                f"there are {len(images)} images and {len(labels)} labels; give one label for each "
                "image"
            )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Array) -> "Split":
        """The images with these indices, in this order."""
        return Split(self.images[rows], self.labels[rows])

    def first(self, count: int | None) -> "Split":
        """The first `count` images (all when None)."""
        if count is None:
            return self
        check_count("number of images", count)
        if count > len(self):
            raise InputError(f"asked for {count} images, there are {len(self)}; ask for fewer")
        return Split(self.images[:count], self.labels[:count])

    @property
    def pixels(self) -> Array:
        """Images as float32 in [0, 1]."""
        return to_pixels(self.images)


def to_pixels(images: Array) -> Array:
    """Bytes 0 … 255 → float32 in [0, 1]; floats of any precision are already pixels."""
    if images.dtype.kind == "f":
        return images.astype(np.float32, copy=False)
    return images.astype(np.float32) / np.float32(255.0)
