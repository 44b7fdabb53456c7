"""Features of images from a frozen network: f(x) = scale · flatten(layer(pixels(x)))."""

import contextlib
import dataclasses
import functools
import math
import pathlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array, Tensor, compiled
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest
from tf_deepbayes.core.validation import check_positive
from tf_deepbayes.models.fusion import pixels as conventions
from tf_deepbayes.models.fusion.network import (
    KERAS_FILE,
    SAVED_FOLDER,
    Network,
    arrays_of,
    sha256_of,
)
from tf_deepbayes.models.fusion.reading import read_network

ACCURACY_IMAGES = 1000  # that the network's own accuracy is measured on
STORED = "stored_sha256"  # in a run's settings: of the extractor in its folder


@dataclasses.dataclass(frozen=True, eq=False)
class Extractor:
    """Features f(x) of images x in [0, 1], flattened row by row (H, W, channels).

    Attributes:
        network: the frozen network up to the layer; always in inference mode.
        pixels: how the network takes its pixels, one of `pixels.CONVENTIONS`.
        scale: a number that features are multiplied by. The likelihood l2 of p(f|z) is a Gaussian
            of variance ½ in these units.
        image_shape: of one image.
    """

    network: Network
    pixels: str
    scale: float
    image_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        conventions.check(self.pixels)
        check_positive("feature_scale", self.scale)

    @property
    def size(self) -> int:
        """|f|, the number of features."""
        return math.prod(self.network.output_shape)

    @functools.cached_property
    def digest(self) -> str:
        """Equal for the same features: of the arrays, the structure, the layer and the pixels."""
        text = "\n".join([self.network.structure, self.network.layer, self.pixels])
        return digest(*arrays_of(self.network), np.frombuffer(text.encode(), np.uint8))

    def __call__(self, x: Tensor) -> Tensor:
        """`[B, H, W, channels]` → `[B, size]`, float32."""
        return self._graph(x)

    @functools.cached_property
    def _graph(self) -> Any:
        x = tf.TensorSpec([None, *self.image_shape], tf.float32)
        return compiled(lambda x: self.raw(x) * self.scale if self.scale != 1.0 else self.raw(x), x)

    def raw(self, x: Tensor) -> Tensor:
        """Features before the scale."""
        output = self.network.output(conventions.normalised(x, self.pixels))
        return tf.reshape(tf.cast(output, tf.float32), [tf.shape(x)[0], self.size])

    def own_accuracy(self, images: Array, labels: Array) -> float | None:
        """The share of images `[N, …]` that the whole network gets right; None if it cannot say."""
        classify, num_classes = self.network.classify, self.network.num_classes
        if classify is None or num_classes is None or num_classes <= int(labels.max()):
            return None
        answer = lambda x: classify(conventions.normalised(x, self.pixels))  # noqa: E731
        predicted = metrics.predict(answer, images, batch_size=100).argmax(1)
        return metrics.accuracy(predicted, labels)

    def settings(self) -> dict[str, Any]:
        """What a run's configuration says of it."""
        network = self.network
        return {
            "file": network.name,
            "sha256": network.sha256,
            "layer": network.layer,
            "layer_number": network.number,
            "label": network.label,
            "pixels": self.pixels,
            "feature_scale": self.scale,
            "image_shape": list(self.image_shape),
            "feature_shape": list(network.output_shape),
            "digest": self.digest,
        }


def read_extractor(
    path: pathlib.Path,
    layer: str | None,
    image_shape: Sequence[int],
    data: str,
    pixels: str | None = None,
    scale: float = 1.0,
) -> Extractor:
    """The extractor in a file.

    Args:
        layer: see `reading.read_network`.
        image_shape: of the images of the data set named `data`.
        pixels: None: as far as the file tells.
    """
    network = read_network(path, layer)
    network.check_images(image_shape, data)
    shape = tuple(int(size) for size in image_shape)
    return Extractor(network, pixels or network.pixels, float(scale), shape)


def check_accuracy(extractor: Extractor, images: Array, labels: Array, insist: bool) -> str | None:
    """A line on the network's own accuracy; None if it ends in no classes.

    Args:
        images: a few training images in [0, 1], with their labels.
        insist: accept an accuracy below twice that of chance.

    Raises:
        InputError: it is, which is what other pixels than the network's own give.
    """
    found = extractor.own_accuracy(images, labels)
    if found is None:
        return None
    network, chance = extractor.network, 1.0 / int(extractor.network.num_classes or 1)
    what = f"extractor {network.name} gets {_share(found)} of {len(images):,} training images right"
    if found < 2.0 * chance and not insist:
        others = [name for name in ("bytes", "geifman", "unit") if name != extractor.pixels]
        raise InputError(
            f"{what}, by chance {_share(chance)}; its pixels may be others: give --pixels "
            f"{' or '.join(others)}"
        )
    return what


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def check_settings(settings: Mapping[str, Any]) -> None:
    """InputError unless they are what `Extractor.settings` says of one."""
    names = ("file", "layer", "label", "digest", "pixels", "feature_scale")
    kinds = {**dict.fromkeys(names, str), "feature_scale": float}
    shapes = {name: settings.get(name) for name in ("image_shape", "feature_shape")}
    wrong = [name for name, kind in kinds.items() if not isinstance(settings.get(name), kind)]
    wrong += [
        name
        for name, shape in shapes.items()
        if not (isinstance(shape, list) and shape and all(isinstance(n, int) for n in shape))
    ]
    if wrong:
        raise InputError(f"{wrong[0]} of the extractor cannot be {settings.get(wrong[0])!r}")


def stored_settings(extractor: Extractor, folder: pathlib.Path) -> dict[str, Any]:
    """`Extractor.settings`, and the SHA-256 of the extractor that `store` has written there."""
    return {**extractor.settings(), STORED: store(extractor, folder)}


def store(extractor: Extractor, folder: pathlib.Path) -> str:
    """Write the extractor into a folder, in the place of any other; the SHA-256 of what is there.

    What an interrupted call has left is used where it is the same extractor.
    """
    kept = stored_sha256(folder)
    if kept is not None:
        with contextlib.suppress(InputError):
            if load(folder, {**extractor.settings(), STORED: kept}).digest == extractor.digest:
                return kept
        (folder / KERAS_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / SAVED_FOLDER, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".extractor", dir=folder) as temporary:
        extractor.network.write(pathlib.Path(temporary))
        for path in pathlib.Path(temporary).iterdir():
            path.rename(folder / path.name)
    return str(stored_sha256(folder))


def stored_sha256(folder: pathlib.Path) -> str | None:
    """The SHA-256 of the extractor in a run folder; None where there is none."""
    for name in (KERAS_FILE, SAVED_FOLDER):
        if (folder / name).exists():
            return sha256_of(folder / name)
    return None


def copy_stored(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Copy the extractor of a run folder, where it has one, into a new one."""
    folder.mkdir(parents=True, exist_ok=True)
    if (source / KERAS_FILE).is_file():
        shutil.copyfile(source / KERAS_FILE, folder / KERAS_FILE)
    elif (source / SAVED_FOLDER).is_dir():
        shutil.copytree(source / SAVED_FOLDER, folder / SAVED_FOLDER, dirs_exist_ok=True)


def check_stored(folder: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """InputError unless a run folder has the extractor that the run was trained on."""
    found, wanted = stored_sha256(folder), settings.get(STORED)
    if found is None or found != wanted:
        raise InputError(
            f"run {folder} lacks {KERAS_FILE}, or it is not the one that it was trained on (sha256 "
            f"{str(wanted)[:12]}…); restore it, or train again"
        )


def load(folder: pathlib.Path, settings: Mapping[str, Any]) -> Extractor:
    """The extractor of a run folder, as `settings` describe it.

    Raises:
        InputError: it is not there, or not the one that the run was trained on.
    """
    check_stored(folder, settings)
    is_keras = (folder / KERAS_FILE).exists()
    network = read_network(
        folder / (KERAS_FILE if is_keras else SAVED_FOLDER),
        None if is_keras else settings["layer"],
    )
    return Extractor(
        dataclasses.replace(network, label=settings["label"]),
        settings["pixels"],
        float(settings["feature_scale"]),
        tuple(settings["image_shape"]),
    )
