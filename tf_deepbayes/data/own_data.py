"""People's own images: arrays, an .npz file, or a folder of images by class.

An .npz holds `x_train, y_train, x_test, y_test`, or `x, y`, of which a share becomes the test set.
A folder holds one folder of images for each class, or such folders below `train` and `test`.
"""

import pathlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import named, read_arrays
from tf_deepbayes.core.validation import check_images, check_labels
from tf_deepbayes.data import datasets
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.splits import Split

Source: TypeAlias = str | pathlib.Path | Sequence[Any]
SPLIT_KEYS, WHOLE_KEYS = ("x_train", "y_train", "x_test", "y_test"), ("x", "y")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


def is_own(source: Source) -> bool:
    """Whether this is somebody's own data and not the name of a known data set."""
    return not isinstance(source, str) or source not in datasets.TASKS


def own_name(source: Source) -> str:
    """The name of own data in `runs/<name>/<model>`: a file's or folder's, without its ending."""
    return named(source).stem if isinstance(source, str | pathlib.Path) else "arrays"


def load_data(
    source: Source,
    data_dir: str | pathlib.Path | None = None,
    test_share: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """A data set by name, or one's own.

    Args:
        source: a known name (mnist, fashion_mnist, cifar10, plane_frog, mnist_5k); an .npz file; a
            folder of images by class; or arrays (x, y) or (x_train, y_train, x_test, y_test).
            Images are bytes or floats in [0, 1], `[N, H, W]` or `[N, H, W, 1 or 3]`; labels are
            0 … C − 1 or one-hot.
        data_dir: folder of a known data set, the only one searched; None: the usual places.
        test_share: of the images of each class, where no test set is given.
        seed: of the choice of the test images.

    Raises:
        InputError: it is not there, or images or labels do not fit; one line says what is wrong.
    """
    if not is_own(source):
        return datasets.load(str(source), data_dir)
    if not 0.0 < test_share < 1.0:
        raise InputError(f"test_share must be between 0 and 1, got {test_share}")
    if not isinstance(source, str | pathlib.Path):
        return _of_arrays(source, "arrays", "arrays", None, test_share, seed)
    path = pathlib.Path(source)
    if path.is_dir():
        arrays, class_names = _read_folder(path)
    elif path.suffix == ".npz" and path.is_file():
        arrays, class_names = _read_npz(path), None
    else:
        raise InputError(
            f"no data {str(source)!r}: expected an .npz file, a folder of images by class, or one "
            f"of {', '.join(datasets.TASKS)}"
        )
    where = str(path.resolve())
    return _of_arrays(arrays, own_name(path), where, class_names, test_share, seed)


def _read_npz(path: pathlib.Path) -> list[Array]:
    arrays = read_arrays(path, "save it again with numpy.savez")
    for keys in (SPLIT_KEYS, WHOLE_KEYS):
        if set(keys) <= set(arrays):
            return [arrays[key] for key in keys]
    found = ", ".join(arrays) or "nothing"
    raise InputError(
        f"{path} holds {found}; expected arrays {', '.join(SPLIT_KEYS)}, or {', '.join(WHOLE_KEYS)}"
    )


def _read_folder(folder: pathlib.Path) -> tuple[list[Array], tuple[str, ...]]:
    halves = [folder / "train", folder / "test"]
    parts = halves if all(half.is_dir() for half in halves) else [folder]
    names = tuple(sorted(path.name for path in parts[0].iterdir() if path.is_dir()))
    if len(names) < 2:
        raise InputError(
            f"{parts[0]} holds {len(names)} folders of images; expected one for each of at least "
            "two classes"
        )
    return [array for part in parts for array in _read_classes(part, names)], names


def _read_classes(folder: pathlib.Path, names: Sequence[str]) -> tuple[Array, Array]:
    images, labels = [], []
    for label, name in enumerate(names):
        files = sorted(folder.joinpath(name).glob("*")) if (folder / name).is_dir() else []
        files = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
        if not files:
            raise InputError(
                f"{folder / name} holds no images; expected {', '.join(IMAGE_SUFFIXES)} files"
            )
        images += [_read_image(path) for path in files]
        labels += [label] * len(files)
        for path, image in zip(files, images[-len(files) :], strict=True):
            if image.shape != images[0].shape:
                raise InputError(
                    f"{path} is {list(image.shape)} and others are {list(images[0].shape)}; all "
                    "images must have one size and the same channels"
                )
    return np.stack(images), np.array(labels)


def _read_image(path: pathlib.Path) -> Array:
    try:
        return tf.io.decode_image(path.read_bytes(), expand_animations=False).numpy()
    except (tf.errors.InvalidArgumentError, OSError):
        raise InputError(f"{path} cannot be read as an image; repair or remove it") from None


def _of_arrays(
    arrays: Sequence[Any],
    name: str,
    where: str,
    class_names: tuple[str, ...] | None,
    test_share: float,
    seed: int,
) -> Dataset:
    if len(arrays) not in (2, 4):
        raise InputError(f"expected arrays (x, y) or {SPLIT_KEYS}, got {len(arrays)} of them")
    splits = [Split(*_checked(x, y, where)) for x, y in zip(arrays[::2], arrays[1::2], strict=True)]
    if len(splits) == 1:
        splits = _divided(splits[0], test_share, seed)
    train, test = splits
    if train.images.shape[1:] != test.images.shape[1:]:
        shapes = [list(split.images.shape[1:]) for split in splits]
        raise InputError(f"training images are {shapes[0]} and test images {shapes[1]}; {where}")
    num_classes = len(class_names or ()) or int(train.labels.max()) + 1
    absent = sorted(set(range(num_classes)) - set(train.labels.tolist()))
    if absent or num_classes < 2:
        what = f"no training image has the label {absent[0]}" if absent else "there is one class"
        raise InputError(f"{what} in {where}; expected labels 0 … C − 1 of at least two classes")
    if test.labels.max() >= num_classes:
        raise InputError(
            f"a test image of {where} has the label {test.labels.max()}, training labels are "
            f"0 … {num_classes - 1}"
        )
    sizes = Architecture.for_images(train.images.shape[1:], num_classes)
    return Dataset(name, train, test, where, class_names, sizes)


def _divided(split: Split, test_share: float, seed: int) -> list[Split]:
    """(training, test) images, each with its share of every class, in the order they came in."""
    random, is_test = np.random.default_rng(seed), np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        rows = random.permutation(np.flatnonzero(split.labels == label))
        is_test[rows[: max(1, round(test_share * len(rows)))]] = True
    return [split.take(np.flatnonzero(~is_test)), split.take(np.flatnonzero(is_test))]


def _checked(x: Any, y: Any, where: str) -> tuple[Array, Array]:
    """Images uint8 or float32 `[N, H, W, channels]` and labels int64 `[N]`."""
    images, labels = _images(np.asarray(x), where), check_labels(y, what=f"labels of {where}")
    if len(images) != len(labels) or not len(images):
        raise InputError(
            f"{where} has {len(images)} images and {len(labels)} labels; expected as many, and at "
            "least one"
        )
    return images, labels


def _images(x: Array, where: str) -> Array:
    if x.ndim not in (3, 4):
        raise InputError(f"images of {where} are {list(x.shape)}; expected [N, H, W(, channels)]")
    return check_images(x if x.ndim == 4 else x[..., None], f"images of {where}")
