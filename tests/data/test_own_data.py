"""People's own images: every kind of source, and one line for what does not fit."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.origins import load_again, origin_of
from tf_deepbayes.data.own_data import load_data
from tf_deepbayes.data.splits import Split

X = np.random.default_rng(0).integers(0, 256, (30, 8, 8)).astype(np.uint8)
Y = np.arange(30) % 3


def image_folder(folder: pathlib.Path, names: tuple[str, ...] = ("cat", "dog")) -> pathlib.Path:
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(5):
            image = tf.io.encode_png(np.full((8, 8, 3), 40 * number + i, np.uint8))
            (folder / name / f"{i}.png").write_bytes(image.numpy())
    return folder


def test_arrays_are_divided_with_a_share_of_every_class() -> None:
    data = load_data((X, Y), test_share=0.2, seed=1)
    assert (data.name, len(data.train), len(data.test)) == ("arrays", 24, 6)
    assert np.bincount(data.test.labels).tolist() == [2, 2, 2]
    assert data.architecture.input_shape == (8, 8, 1) and data.architecture.num_classes == 3
    together = np.concatenate([data.train.images, data.test.images])[..., 0]
    assert {i.tobytes() for i in together} == {i.tobytes() for i in X}
    again, other = load_data((X, Y), seed=1), load_data((X, Y), seed=2)
    np.testing.assert_array_equal(again.test.images, data.test.images)
    assert (other.test.images != data.test.images).any()


def test_floats_one_hot_rows_and_given_splits() -> None:
    pixels = (X / 255.0).astype(np.float64)[..., None]
    data = load_data((pixels, np.eye(3)[Y], pixels[:5], Y[:5, None]))
    np.testing.assert_array_equal(data.train.labels, Y)
    np.testing.assert_array_equal(data.test.labels, Y[:5])
    np.testing.assert_allclose(data.train.pixels, pixels, atol=1e-7)
    for dtype in (np.float16, np.float32, np.float64):
        np.testing.assert_allclose(Split(pixels.astype(dtype), Y).pixels, pixels, atol=1e-3)


def test_an_npz_has_its_name(tmp_path: pathlib.Path) -> None:
    np.savez(tmp_path / "digits.npz", x=X, y=Y)
    data = load_data(tmp_path / "digits.npz")
    assert data.name == "digits" and data.source == str(tmp_path / "digits.npz")
    np.savez(tmp_path / "split.npz", x_train=X, y_train=Y, x_test=X[:4], y_test=Y[:4])
    assert len(load_data(str(tmp_path / "split.npz")).test) == 4


def test_a_folder_of_images_by_class(tmp_path: pathlib.Path) -> None:
    data = load_data(image_folder(tmp_path / "photos"))
    assert data.class_names == ("cat", "dog") and data.architecture.input_shape == (8, 8, 3)
    assert set(data.train.images[data.train.labels == 1].ravel()) <= set(range(40, 45))
    image_folder(tmp_path / "halves" / "train")
    image_folder(tmp_path / "halves" / "test")
    assert len(load_data(tmp_path / "halves").test) == 10


def test_the_data_of_a_run_is_found_again_and_other_data_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "digits.npz"
    np.savez(path, x=X, y=Y)
    settings = origin_of(load_data(path))
    assert set(origin_of(load_data("mnist_5k"))) == {"data_digest"}
    assert len(load_again("digits", settings).train) == 24
    moved = path.rename(tmp_path / "moved.npz")
    with pytest.raises(InputError, match="no data"):
        load_again("digits", settings)
    assert len(load_again("digits", settings, moved).train) == 24
    np.savez(path, x=X[::-1], y=Y)
    with pytest.raises(InputError, match="not the data that the run was trained on"):
        load_again("digits", settings)


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "size": (lambda: (X[:, :6, :6], Y), "multiple of 4"),
    "not_square": (lambda: (X[:, :, :4], Y), "square"),
    "channels": (lambda: (np.stack([X, X], -1), Y), "1 or 3 channels"),
    "lengths": (lambda: (X, Y[:-1]), "30 images and 29 labels"),
    "empty": (lambda: (X[:0], Y[:0]), "at least one"),
    "range": (lambda: (X.astype(np.float32), Y), "divide bytes by 255"),
    "nan": (lambda: (np.full((30, 8, 8), np.nan), Y), "30 of the images of arrays have NaN"),
    "text": (lambda: (X.astype(str), Y), "expected bytes or floats"),
    "labels_text": (lambda: (X, Y.astype(str)), "labels of arrays must be class numbers"),
    "labels_negative": (lambda: (X, Y - 1), "labels of arrays must be from 0"),
    "labels_fraction": (lambda: (X, Y + 0.5), "labels of arrays must be whole numbers"),
    "labels_gap": (lambda: (X, 2 * Y), "no training image has the label 1"),
    "one_class": (lambda: (X, 0 * Y), "at least two classes"),
    "test_label": (lambda: (X, Y, X[:3], [0, 1, 7]), "label 7"),
    "test_size": (lambda: (X, Y, np.pad(X, ((0, 0), (2, 2), (2, 2))), Y), "test images"),
    "three": (lambda: (X, Y, X), "got 3 of them"),
    "name": (lambda: "mnst", "no data 'mnst'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_one_line(name: str) -> None:
    source, message = BAD[name]
    with pytest.raises(InputError, match=message) as caught:
        load_data(source())
    assert "\n" not in str(caught.value)


def damaged(folder: pathlib.Path, what: str) -> pathlib.Path:
    photos = image_folder(folder / "photos")
    if what == "unreadable":
        (photos / "cat" / "0.png").write_bytes(b"no image")
    elif what == "sizes":
        larger = tf.io.encode_png(np.zeros((12, 12, 3), np.uint8)).numpy()
        (photos / "dog" / "0.png").write_bytes(larger)
    elif what == "empty":
        (photos / "emu").mkdir()
    else:
        np.savez(folder / "keys.npz", images=X, labels=Y)
        return folder / "keys.npz"
    return photos


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("unreadable", "0.png cannot be read"),
        ("sizes", "one size"),
        ("empty", "emu holds no images"),
        ("keys", "holds images, labels; expected arrays x_train"),
    ],
)
def test_damaged_files_are_one_line(tmp_path: pathlib.Path, what: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_data(damaged(tmp_path, what))


def test_the_published_sizes_for_a_kind_of_image() -> None:
    assert Architecture.for_images((28, 28, 1), 10) == Architecture((28, 28, 1))
    colour = Architecture.for_images((32, 32, 3), 10)
    assert (colour.dim_z, colour.channels) == (128, (64, 128, 256))
    assert isinstance(load_data((X, Y)), Dataset)


def test_rounding_beyond_the_range_is_clipped() -> None:
    pixels = (X / 255.0).astype(np.float32)
    pixels[0, 0, 0] = np.nextafter(np.float32(1), np.float32(2))
    data = load_data((pixels, Y, pixels, Y))
    assert data.train.images.max() == 1.0
    pixels[0, 0, 0] = 1.001
    with pytest.raises(InputError, match=r"values from 0 to 1\.001; expected bytes"):
        load_data((pixels, Y))


def test_the_current_folder_has_a_name(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(image_folder(tmp_path / "photos"))
    assert load_data(".").name == load_data("../photos").name == "photos"
