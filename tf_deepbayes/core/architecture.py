"""Sizes of the networks: frozen presets with the published values."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, is_number, shown


@dataclasses.dataclass(frozen=True)
class NetworkForm:
    """What the paper's text and its released code say differently about the networks of images.

    Attributes:
        max_pooling: convolutions of stride 1 with a max-pooling of 2×2 after each; else stride 2.
        decoder_layers: hidden layers of p(x|·) before its first image.
        bottleneck_label_layers: hidden layers of p(y|z) in GBZ.
    """

    max_pooling: bool
    decoder_layers: int
    bottleneck_label_layers: int


CODE = "code"
FORMS = {CODE: NetworkForm(False, 1, 2), "text": NetworkForm(True, 2, 1)}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes of every network of a classifier.

    Attributes:
        input_shape: shape of one x: `(H, W, channels)` for images, `(size,)` for feature vectors.
        num_classes: C.
        dim_z: size of the latent vector z.
        dim_h: width of the hidden layers, and size of features(x) of an image.
        channels: output channels of the three convolutions of features(x); the decoder runs
            through them backwards. Empty for feature vectors.
        hidden_layers: hidden layers behind features(x), in q(z|x,y) and p(z|x); of a BNN, those
            behind its convolutions.
        networks: "code", the networks of the released code, or "text", those of the paper's text
            (Li et al. 2019, appendix D); see `NetworkForm`. For images.
        dropout: share of each dense layer's inputs that a BNN drops; other models drop none.
    """

    input_shape: tuple[int, ...]
    num_classes: int = 10
    dim_z: int = 64
    dim_h: int = 500
    channels: tuple[int, ...] = (64, 64, 64)
    hidden_layers: int = 1
    networks: str = CODE
    dropout: float = 0.5  # of the BNN in runs that do not record it

    def __post_init__(self) -> None:
        for field in ("num_classes", "dim_z", "dim_h", "hidden_layers"):
            check_count(field, getattr(self, field))
        for field in ("input_shape", "channels"):
            if not isinstance(getattr(self, field), tuple):
                raise InputError(f"{field} must be a tuple, got {getattr(self, field)!r}")
            for size in getattr(self, field):
                check_count(f"each of {field}", size)
        if len(self.input_shape) not in (1, 3):
            raise InputError(
                "input_shape must be (H, W, channels) for images or (size,) for feature vectors, "
                f"got {self.input_shape}"
            )
        if self.is_image != bool(self.channels):
            raise InputError(
                "an image architecture needs channels and a feature-vector one has none, got "
                f"input_shape {self.input_shape} with channels {self.channels}"
            )
        if self.networks not in FORMS:
            raise InputError(f"networks must be one of {', '.join(FORMS)}, got {self.networks!r}")
        if self.networks != CODE and not self.is_image:
            raise InputError(
                f"the networks of the {self.networks} are for images, got input_shape "
                f"{self.input_shape}; leave networks out"
            )
        if not (is_number(self.dropout) and 0.0 < self.dropout < 1.0):
            raise InputError(f"dropout must be above 0 and below 1, got {shown(self.dropout)}")

    @classmethod
    def for_images(cls, input_shape: Sequence[int], num_classes: int) -> "Architecture":
        """The published sizes for such images: MNIST's for one channel, CIFAR's for three.

        Raises:
            InputError: the networks cannot take such images.
        """
        shape = tuple(int(size) for size in input_shape)
        advice = "images must be square, a multiple of 4 and at least 8 wide, with 1 or 3 channels"
        if len(shape) != 3 or shape[0] != shape[1] or shape[0] % 4 or shape[0] < 8:
            raise InputError(f"{advice}, got {list(shape)}; crop or pad them")
        if shape[2] not in (1, 3):
            raise InputError(f"{advice}, got {list(shape)}; convert them to grey or RGB")
        sizes = MNIST if shape[2] == 1 else CIFAR
        return sizes.replace(input_shape=shape, num_classes=num_classes)

    @property
    def form(self) -> NetworkForm:
        """What `networks` means."""
        return FORMS[self.networks]

    @property
    def is_image(self) -> bool:
        """Whether x is an image (else a feature vector)."""
        return len(self.input_shape) == 3

    @property
    def num_pixels(self) -> int:
        """Number of values of one x."""
        return math.prod(self.input_shape)

    def spatial_sizes(self) -> list[tuple[int, int]]:
        """Height and width of x and after each halving of features(x): 28, 14, 7, 4 for MNIST."""
        sizes = [(self.input_shape[0], self.input_shape[1])]
        for _ in self.channels:
            height, width = sizes[-1]
            sizes.append((math.ceil(height / 2), math.ceil(width / 2)))
        return sizes

    def replace(self, **changes: Any) -> "Architecture":
        """A copy with some sizes changed."""
        return dataclasses.replace(self, **changes)

    @classmethod
    def from_dict(cls, sizes: dict[str, Any]) -> "Architecture":
        """From `dataclasses.asdict` after JSON, which turns tuples into lists."""
        lists: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in sizes.items()
        }
        return cls(**lists)


# Sizes of the published training scripts (Li et al. 2019, appendix on experimental details).
MNIST = Architecture(input_shape=(28, 28, 1))
CIFAR = Architecture(
    input_shape=(32, 32, 3), num_classes=2, dim_z=128, dim_h=1000, channels=(64, 128, 256)
)
FUSION = Architecture(input_shape=(8192,), dim_z=128, dim_h=1000, channels=(), hidden_layers=2)
