"""Images and labels of one split."""

import dataclasses

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count


@dataclasses.dataclass(frozen=True)
class Split:
    """Images uint8 `[N, H, W, channels]` and labels int64 `[N]`.

    Generated images may be float32 in [0, 1], soft labels float32 class probabilities `[N, C]`.
    """

    images: Array
    labels: Array

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
