"""Data sets are found under the names and in the folders that people have."""

import gzip
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from tests.data.test_datasets import idx
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data import datasets, places

Names = dict[str, bytes]


def files(of_images: str = "-idx3-ubyte", of_labels: str = "-idx1-ubyte") -> Names:
    random, found = np.random.default_rng(0), {}
    for split, count in (("train", 6), ("t10k", 4)):
        pixels = random.integers(256, size=(count, 28, 28), dtype=np.uint8)
        found[f"{split}-images{of_images}"] = idx(pixels, 2051)
        found[f"{split}-labels{of_labels}"] = idx((np.arange(count) % 10).astype(np.uint8), 2049)
    return found


def put(folder: pathlib.Path, content: Names) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in content.items():
        (folder / name).write_bytes(raw)


def put_npz(folder: pathlib.Path, content: Names) -> None:
    parts = [
        np.frombuffer(raw[16 if "images" in name else 8 :], np.uint8)
        for name, raw in content.items()
    ]
    images = [part.reshape(-1, 28, 28) for part in parts[::2]]
    names = ("x_train", "y_train", "x_test", "y_test")
    values = (images[0], parts[1], images[1], parts[3])
    np.savez(folder / "mnist.npz", **dict(zip(names, values, strict=True)))  # type: ignore[arg-type]


def put_in_folders(folder: pathlib.Path, content: Names) -> None:
    for name, raw in content.items():
        put(folder / name, {name: raw})


FORMS: dict[str, Callable[[pathlib.Path], None]] = {
    "as published": lambda f: put(f, files()),
    "with a dot": lambda f: put(f, files(".idx3-ubyte", ".idx1-ubyte")),
    "compressed": lambda f: put(f, {f"{n}.gz": gzip.compress(raw) for n, raw in files().items()}),
    "unpacked by a browser": lambda f: put(f, {f"{n}.gz": raw for n, raw in files().items()}),
    "torchvision": lambda f: put(f / "MNIST" / "raw", files()),
    "a folder for each": lambda f: put_in_folders(f, files()),
    "keras": lambda f: put_npz(f, files()),
}


@pytest.mark.parametrize("form", FORMS)
def test_mnist_is_found_in_every_form(form: str, tmp_path: pathlib.Path) -> None:
    FORMS[form](tmp_path)
    found = datasets.load("mnist", tmp_path)
    assert len(found.train) == 6 and found.test.labels.tolist() == [0, 1, 2, 3]
    expected = np.frombuffer(files()["train-images-idx3-ubyte"][16:], np.uint8)
    np.testing.assert_array_equal(found.train.images.ravel(), expected)


def test_cifar_is_found_as_binary_records(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / places.CIFAR_BINARY_FOLDER
    records = np.random.default_rng(0).integers(256, size=(5, 3073), dtype=np.uint8)
    records[:, 0] = [0, 6, 0, 6, 9]
    put(folder, {f"data_batch_{i}.bin": records.tobytes() for i in range(1, 6)})
    put(folder, {"test_batch.bin": records.tobytes()})
    found = datasets.load("cifar10", tmp_path)
    assert found.train.images.shape == (25, 32, 32, 3) and found.test.labels.tolist() == [
        0,
        6,
        0,
        6,
        9,
    ]
    planes = records[1, 1:].reshape(3, 32, 32)
    np.testing.assert_array_equal(found.test.images[1], planes.transpose(1, 2, 0))
    (folder / "test_batch.bin").write_bytes(records.tobytes()[:-1])
    with pytest.raises(InputError, match=r"test_batch.bin is damaged: 15364 bytes"):
        datasets.load("cifar10", tmp_path)


def test_a_given_folder_is_the_only_one(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    put(tmp_path / "keras" / "datasets" / "mnist", files())
    assert len(datasets.load("mnist").train) == 6
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match=r"looked in .*mine/MNIST/raw.* for train-images-idx3"):
        datasets.load("mnist", tmp_path / "mine")


def test_a_label_that_is_no_class_is_refused(tmp_path: pathlib.Path) -> None:
    put(
        tmp_path, files() | {"t10k-labels-idx1-ubyte": idx(np.array([0, 1, 11, 2], np.uint8), 2049)}
    )
    with pytest.raises(InputError, match=r"test labels in .* must be from 0 to 9, got 0 to 11"):
        datasets.load("mnist", tmp_path)
