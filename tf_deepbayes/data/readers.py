"""Readers of the data files: IDX (MNIST, Fashion-MNIST), Keras' mnist.npz, and CIFAR-10.

Files that are too short, or have the wrong magic number or count, are refused by name.
"""

import pathlib
import struct

import numpy as np

from tf_deepbayes.core.array_pickle import read_array_pickle
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_arrays
from tf_deepbayes.data.places import find, read_bytes

IDX_FILES = {"train": "train", "test": "t10k"}
IDX_RANKS = {"images": 3, "labels": 1}
IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
CIFAR_RECORD = 1 + 3 * 32 * 32  # bytes
CIFAR_FILES = {
    "train": [f"data_batch_{i}" for i in range(1, 6)],
    "test": ["test_batch"],
}


def idx_names(split: str, kind: str) -> list[str]:
    """The names that an IDX file goes by, such as train-images-idx3-ubyte."""
    stem = f"{IDX_FILES[split]}-{kind}"
    return [f"{stem}-idx{IDX_RANKS[kind]}-ubyte", f"{stem}.idx{IDX_RANKS[kind]}-ubyte"]


def has_idx(folder: pathlib.Path) -> bool:
    """Whether the folder holds any of the four IDX files, which means that it should be read."""
    return any(find(folder, idx_names(s, kind)) for s in IDX_FILES for kind in IDX_RANKS)


def read_idx(folder: pathlib.Path, split: str) -> tuple[Array, Array]:
    """Images uint8 `[N, 28, 28, 1]` and labels int64 `[N]` of one split."""
    images = _read_idx_file(folder, split, "images", IMAGES_MAGIC)
    labels = _read_idx_file(folder, split, "labels", LABELS_MAGIC)
    if len(images) != len(labels):
        raise InputError(
            f"{folder} holds {len(images)} {split} images but {len(labels)} labels; "
            "fetch the files again"
        )
    if images.shape[1:] != (28, 28):
        raise InputError(f"{folder}: expected 28×28 images, got {images.shape[1:]}")
    return images[..., None], labels.astype(np.int64)


def _read_idx_file(folder: pathlib.Path, split: str, kind: str, magic: int) -> Array:
    names = idx_names(split, kind)
    path = find(folder, names)
    if path is None:
        raise InputError(f"expected {names[0]} or {names[0]}.gz in {folder}, found neither")
    content = read_bytes(path)
    rank = magic % 256
    header = 4 + 4 * rank
    if len(content) < header:
        raise InputError(f"{path} is damaged: {len(content)} bytes are no IDX file")
    found, *shape = struct.unpack(f">{1 + rank}I", content[:header])
    if found != magic:
        raise InputError(f"{path} is damaged: expected magic number {magic}, got {found}")
    if len(content) - header != np.prod(shape, dtype=np.int64):
        raise InputError(
            f"{path} is damaged: its header promises {'×'.join(map(str, shape))} bytes, "
            f"{len(content) - header} follow"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_keras_npz(path: pathlib.Path, split: str) -> tuple[Array, Array]:
    """Images uint8 `[N, 28, 28, 1]` and labels of one split of Keras' mnist.npz."""
    arrays = read_arrays(path, "fetch it again")
    try:
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
    except KeyError:
        found = ", ".join(arrays) or "nothing"
        raise InputError(f"{path} holds {found}; expected x_{split} and y_{split}") from None
    return (images if images.ndim == 4 else images[..., None]), labels


def has_cifar10(folder: pathlib.Path) -> bool:
    """Whether the folder holds a file of CIFAR-10, pickled or binary."""
    names = [name + ending for name in ("test_batch", "data_batch_1") for ending in ("", ".bin")]
    return any(find(folder, [name]) for name in names)


def read_cifar10(folder: pathlib.Path, split: str) -> tuple[Array, Array]:
    """Images uint8 `[N, 32, 32, 3]` and labels int64 `[N]`, pickled or binary batches."""
    parts = []
    for name in CIFAR_FILES[split]:
        path, binary = find(folder, [name]), find(folder, [f"{name}.bin"])
        if path is None and binary is None:
            raise InputError(f"expected {name} in {folder}, found none; unpack CIFAR-10 again")
        parts.append(_read_cifar_batch(path) if path else _read_cifar_binary(binary))  # type: ignore
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return images, labels


def _read_cifar_binary(path: pathlib.Path) -> tuple[Array, Array]:
    """Records of one byte of label and 3,072 of pixels."""
    raw = np.frombuffer(read_bytes(path), np.uint8)
    if not raw.size or raw.size % CIFAR_RECORD:
        raise InputError(
            f"{path} is damaged: {raw.size} bytes are no records of {CIFAR_RECORD}; fetch it again"
        )
    records = raw.reshape(-1, CIFAR_RECORD)
    return _checked_cifar(path, records[:, 1:], records[:, 0].astype(np.int64))


def _read_cifar_batch(path: pathlib.Path) -> tuple[Array, Array]:
    batch = read_array_pickle(path)
    try:
        pixels, labels = np.asarray(batch["data"]), np.asarray(batch["labels"], np.int64)
    except (KeyError, TypeError, ValueError, IndexError):
        raise InputError(f"{path} is damaged: expected entries 'data' and 'labels'") from None
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3072):
        raise InputError(
            f"{path} is damaged: expected uint8 data of {len(labels)}×3072, "
            f"got {pixels.dtype} {list(pixels.shape)}"
        )
    return _checked_cifar(path, pixels, labels)


def _checked_cifar(path: pathlib.Path, pixels: Array, labels: Array) -> tuple[Array, Array]:
    """Images from rows of three planes; InputError for a label that is no class."""
    if labels.size and not 0 <= labels.min() <= labels.max() <= 9:
        raise InputError(f"{path} is damaged: labels must be 0 to 9, got up to {labels.max()}")
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy(), labels
