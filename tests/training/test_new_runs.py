"""`train` on a data set: a run folder, the same bits as the app's, and what does not fit."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.own_data import load_data
from tf_deepbayes.models.factorisations import DFX
from tf_deepbayes.runs.run import Run
from tf_deepbayes.training import TrainingSettings, train

SETTINGS = TrainingSettings(epochs=1, batch_size=10)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    random, path = np.random.default_rng(0), tmp_path_factory.mktemp("own") / "digits.npz"
    np.savez(path, x=random.integers(0, 256, (60, 8, 8)).astype(np.uint8), y=np.arange(60) % 3)
    return path


def weights(folder: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(folder / "checkpoint.npz") as file:
        return dict(file)


def app(script: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, ROOT / script, *arguments]
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


def test_the_run_is_that_of_the_app_and_is_attacked_on_its_own_data(
    digits: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run = train("DFX", load_data(digits), SETTINGS, tmp_path / "own" / "DFX")
    assert isinstance(run, Run) and run.logits(np.zeros((2, 8, 8, 1), np.float32)).shape == (2, 3)
    folder = tmp_path / "digits" / "DFX"
    flags = ["--data", digits, "--epochs", 1, "--batch_size", 10, "--out", folder]
    done = app("train/vae.py", "DFX", *flags)
    assert done.returncode == 0, done.stderr
    found, expected = weights(run.folder), weights(folder)
    assert all((found[name] == expected[name]).all() for name in expected)
    attack = ["--victim", "DFX", "--runs", tmp_path, "--num_images", 4]
    done = app("attack/attack.py", *attack, "--data", digits)
    assert done.returncode == 0, done.stderr
    assert (folder / "attacks" / "fgsm_n4_eps0.10.json").is_file()
    other = digits.with_name("other.npz")
    np.savez(other, x=np.zeros((60, 8, 8), np.uint8), y=np.arange(60) % 3)
    done = app("attack/attack.py", "--victim", folder, "--data", other, "--num_images", 4)
    assert done.returncode == 2 and "not the data that the run was trained on" in done.stderr


def test_a_classifier_is_trained_where_it_stands_and_goes_on(
    digits: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    data = load_data(digits)
    model = DFX(data.architecture.replace(dim_z=4, dim_h=16, channels=(2, 3, 4)))
    run = train(model, data, SETTINGS, tmp_path / "run")
    assert run.model is model
    more = TrainingSettings(epochs=2, batch_size=10)
    train(model, data, more, tmp_path / "run")
    assert weights(tmp_path / "run")["epoch"] == 2
    np.testing.assert_array_equal(
        Run.load(tmp_path / "run").model.get_weights()[0], model.get_weights()[0]
    )


def test_what_does_not_fit_is_refused(digits: pathlib.Path, tmp_path: pathlib.Path) -> None:
    data = load_data(digits)
    model = DFX(data.architecture.replace(num_classes=4))
    with pytest.raises(InputError, match=r"of 4 classes and digits has \[8, 8, 1\] of 3"):
        train(model, data, SETTINGS, tmp_path / "run")
    with pytest.raises(InputError, match="unknown model 'XYZ'"):
        train("XYZ", data, SETTINGS, tmp_path / "run")
    assert not (tmp_path / "run").exists()
