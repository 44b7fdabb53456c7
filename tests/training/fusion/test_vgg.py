"""Training of the VGG16: resumed to the bit, rates as published, refused with one line."""

import dataclasses
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.fusion.networks import WIDTH
from tests.runs.fusion.test_feature_cache import small_data
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.models.fusion.extractor import read_extractor
from tf_deepbayes.training.fusion.vgg import train_vgg
from tf_deepbayes.training.fusion.vgg_settings import Halving, RisingAndFalling, VGGSettings
from tf_deepbayes.training.journal import read_history

SETTINGS = VGGSettings.for_width(
    WIDTH, epochs=2, batch_size=32, optimizer="sgd", dropout=1.0, weight_decay=1.0
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return small_data(count=64)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Dataset) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("vgg") / "VGG"
    train_vgg(SETTINGS, data, folder)
    return folder


def arrays(folder: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(folder / "checkpoint.npz") as file:
        return dict(file)


def test_a_resumed_run_ends_as_the_uninterrupted_one(
    whole: pathlib.Path, data: Dataset, tmp_path: pathlib.Path
) -> None:
    train_vgg(dataclasses.replace(SETTINGS, epochs=1), data, tmp_path)
    train_vgg(SETTINGS, data, tmp_path, resume=True)
    found, wanted = arrays(tmp_path), arrays(whole)
    assert found.keys() == wanted.keys() and found["epoch"] == 2
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
    rows = [path.joinpath("history.csv").read_text() for path in (tmp_path, whole)]
    assert len(rows[0].splitlines()) == len(rows[1].splitlines()) == 3


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("killed_in", ["_write_model", "checkpoints.save"])
def test_killed_in_the_writes_of_the_last_epoch_it_resumes_to_the_same_extractor(
    killed_in: str,
    whole: pathlib.Path,
    data: Dataset,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(*_: object) -> None:
        raise Killed

    train_vgg(dataclasses.replace(SETTINGS, epochs=1), data, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(f"tf_deepbayes.training.fusion.vgg.{killed_in}", die)
        with pytest.raises(Killed):
            train_vgg(SETTINGS, data, tmp_path, resume=True)
    found = train_vgg(SETTINGS, data, tmp_path, resume=True)
    rows, wanted = read_history(tmp_path), read_history(whole)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert repr(found) == rows[-1]["test_accuracy"] == wanted[-1]["test_accuracy"]
    models = [keras.models.load_model(f / "extractor.keras") for f in (tmp_path, whole)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_finished_training_without_its_history_says_its_accuracy(
    whole: pathlib.Path, data: Dataset, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "VGG"
    shutil.copytree(whole, folder)
    (folder / "history.csv").unlink()
    found = train_vgg(SETTINGS, data, folder, resume=True)
    assert repr(found) == read_history(whole)[-1]["test_accuracy"]


def test_the_folder_holds_an_extractor(whole: pathlib.Path) -> None:
    found = read_extractor(whole / "extractor.keras", "mid", (32, 32, 3), "cifar10")
    assert found.pixels == "geifman" and found.size == 512 and found.network.label == "mid"
    assert {path.name for path in whole.iterdir()} == {
        *("vgg.json", "checkpoint.npz", "history.csv", "extractor.keras")
    }


def test_bad_input(whole: pathlib.Path, data: Dataset, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"holds a VGG16; pass --resume"):
        train_vgg(SETTINGS, data, whole)
    other = dataclasses.replace(SETTINGS, learning_rate=0.01)
    with pytest.raises(InputError, match=r"learning_rate is 0.1 in the folder and 0.01 in the"):
        train_vgg(other, data, whole, resume=True)
    large = dataclasses.replace(SETTINGS, batch_size=100)
    with pytest.raises(InputError, match=r"batch size 100 is more than the 64 training images"):
        train_vgg(large, data, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    for wrong in (
        {"optimizer": "lion"},
        {"learning_rate": 0.0},
        {"epochs": 0},
        {"weight_decay": -1.0},
    ):
        with pytest.raises(InputError):
            VGGSettings(**wrong)  # type: ignore[arg-type]


def test_the_learning_rates() -> None:
    """SGD's 0.1 · 0.5^⌊epoch / 20⌋ / (1 + 1e-6 · steps) as published, and Adam's."""
    rate = Halving(0.1, 390)
    for epoch, halvings in ((0, 0), (19, 0), (20, 1), (41, 2)):
        step = epoch * 390 + 7
        wanted = 0.1 * 0.5**halvings / (1.0 + 1e-6 * step)
        np.testing.assert_allclose(rate(tf.constant(step)), wanted, rtol=1e-6)
    rate = RisingAndFalling(2e-3, 1000)
    for step, share in ((0, 1 / 200), (99, 0.5 * 0.901), (500, 0.5), (999, 0.001)):
        np.testing.assert_allclose(rate(tf.constant(step)), 2e-3 * share, rtol=1e-4)
    assert VGGSettings.for_width(1.0) == VGGSettings()
    assert VGGSettings.for_width(0.25).optimizer == "adam"
