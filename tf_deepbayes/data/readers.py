"""Readers of the data files: IDX (MNIST, Fashion-MNIST) and CIFAR-10 pickles.

Files that are too short, or have the wrong magic number or count, are refused by name.
"""

import gzip
import pathlib
import struct
import zlib

import numpy as np

from tf_deepbayes.core.array_pickle import read_array_pickle
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError

IDX_FILES = {"train": "train", "test": "t10k"}
IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
CIFAR_FOLDER = "cifar-10-batches-py"
CIFAR_FILES = {
    "train": [f"data_batch_{i}" for i in range(1, 6)],
    "test": ["test_batch"],
}


def find_idx(folder: pathlib.Path) -> bool:
    """Whether the folder holds any of the four IDX files, which means that it should be read."""
    return any(
        _idx_path(folder, split, kind) is not None
        for split in IDX_FILES
        for kind in ("images-idx3", "labels-idx1")
    )


def read_idx(folder: pathlib.Path, split: str) -> tuple[Array, Array]:
    """Images uint8 `[N, 28, 28, 1]` and labels int64 `[N]` of one split."""
    images = _read_idx_file(folder, split, "images-idx3", IMAGES_MAGIC)
    labels = _read_idx_file(folder, split, "labels-idx1", LABELS_MAGIC)
    if len(images) != len(labels):
        raise InputError(
            f"{folder} holds {len(images)} {split} images but {len(labels)} labels; "
            "fetch the files again"
        )
    if images.shape[1:] != (28, 28):
        raise InputError(f"{folder}: expected 28×28 images, got {images.shape[1:]}")
    return images[..., None], labels.astype(np.int64)


def _idx_path(folder: pathlib.Path, split: str, kind: str) -> pathlib.Path | None:
    stem = f"{IDX_FILES[split]}-{kind}-ubyte"
    candidates = [folder / stem, folder / f"{stem}.gz"]
    return next((path for path in candidates if path.is_file()), None)


def _read_idx_file(folder: pathlib.Path, split: str, kind: str, magic: int) -> Array:
    path = _idx_path(folder, split, kind)
    if path is None:
        name = f"{IDX_FILES[split]}-{kind}-ubyte"
        raise InputError(f"expected {name} or {name}.gz in {folder}, found neither")
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}); fetch it again") from None
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


def read_cifar10(folder: pathlib.Path, split: str) -> tuple[Array, Array]:
    """Images uint8 `[N, 32, 32, 3]` and labels int64 `[N]` from `cifar-10-batches-py`."""
    parts = [_read_cifar_batch(folder / name) for name in CIFAR_FILES[split]]
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return images, labels


def _read_cifar_batch(path: pathlib.Path) -> tuple[Array, Array]:
    if not path.is_file():
        raise InputError(
            f"expected {path.name} in {path.parent}, found none; unpack CIFAR-10 again"
        )
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
    if labels.size and not 0 <= labels.min() <= labels.max() <= 9:
        raise InputError(f"{path} is damaged: labels must be 0 to 9, got up to {labels.max()}")
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy(), labels
