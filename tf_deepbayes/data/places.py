"""Where the files of a known data set are, in the names and folders that people have them in."""

import gzip
import os
import pathlib
import zlib
from collections.abc import Sequence

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.keras_config import keras_home

DEBIAN_FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")
GZIP_MAGIC = b"\x1f\x8b"
CIFAR_FOLDER, CIFAR_BINARY_FOLDER = "cifar-10-batches-py", "cifar-10-batches-bin"
# Sub-folders of a given folder in which each data set is looked for.
SUB_FOLDERS = {
    "mnist": ("mnist", "MNIST/raw", "raw"),
    "fashion_mnist": ("fashion_mnist", "fashion-mnist", "FashionMNIST/raw", "raw"),
    "cifar10": (CIFAR_FOLDER, CIFAR_BINARY_FOLDER, "cifar10"),
}


def folders(name: str, data_dir: pathlib.Path | None) -> list[pathlib.Path]:
    """The folders to look in for a data set: the given one alone, or the usual ones.

    Raises:
        InputError: the given folder is none.
    """
    if data_dir is not None:
        if not data_dir.is_dir():
            raise InputError(f"data folder {data_dir} is not a folder; give one that exists")
        return [data_dir, *(data_dir / sub for sub in SUB_FOLDERS[name])]
    cache = keras_home() / "datasets"
    if name == "cifar10":
        return [cache / CIFAR_FOLDER]
    debian = [DEBIAN_FASHION_MNIST] if name == "fashion_mnist" else []
    return [*debian, cache / name.replace("_", "-")]


def find(folder: pathlib.Path, names: Sequence[str]) -> pathlib.Path | None:
    """The first of these files, also with `.gz`, also in a folder that is named like it."""
    for name in [n + ending for n in names for ending in ("", ".gz")]:
        for path in (folder / name, folder / name / name, folder / name / name.removesuffix(".gz")):
            if path.is_file():
                return path
    return None


def read_bytes(path: pathlib.Path) -> bytes:
    """What a file holds, unpacked if it is compressed, whatever its name says.

    Raises:
        InputError: it cannot be read or unpacked.
    """
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(GZIP_MAGIC) else raw
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}); fetch it again") from None


def not_found(name: str, places: Sequence[os.PathLike[str] | str], wanted: str, hint: str) -> str:
    """The error message about a data set that is nowhere."""
    where = "; ".join(map(str, places))
    return (
        f"data set {name} not found; looked in {where} for {wanted}. Put its files into one of "
        f"these folders or give their folder (--data_dir){hint}"
    )
