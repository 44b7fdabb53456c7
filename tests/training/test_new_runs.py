"""`train` on a data set: a run folder, the same bits as the app's, and what does not fit."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from tests.conftest import App
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.own_data import load_data
from tf_deepbayes.models.baselines import BNN
from tf_deepbayes.models.factorisations import DFX
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.run import Run, find_run, load_run
from tf_deepbayes.training import TrainingSettings, train
from tf_deepbayes.training.new_runs import run_config, train_run

SETTINGS = TrainingSettings(epochs=1, batch_size=10)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    random, path = np.random.default_rng(0), tmp_path_factory.mktemp("own") / "digits.npz"
    np.savez(path, x=random.integers(0, 256, (60, 8, 8)).astype(np.uint8), y=np.arange(60) % 3)
    return path


def weights(folder: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(folder / "checkpoint.npz") as file:
        return dict(file)


def test_the_run_is_that_of_the_app_and_is_attacked_on_its_own_data(
    digits: pathlib.Path, tmp_path: pathlib.Path, app: App
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


def bnn_of_earlier_versions(folder: pathlib.Path, data: Dataset) -> None:
    """A run of one epoch, whose configuration has no field that earlier versions did not write."""
    config = run_config("BNN", data, SETTINGS)
    train_run(dataclasses.replace(config, architecture=data.architecture), data, SETTINGS, folder)
    path = folder / checkpoints.CONFIG
    content = json.loads(path.read_text())
    for field in ("networks", "dropout"):
        del content["architecture"][field]
    path.write_text(json.dumps(content))


def test_the_bnn_of_earlier_versions_loads_and_goes_on_as_it_was(
    digits: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    data, folder = load_data(digits), tmp_path / "BNN"
    bnn_of_earlier_versions(folder, data)
    earlier = Run.load(folder)
    assert isinstance(earlier.model, BNN) and earlier.model.dropout_rate == 0.5
    assert [tuple(w.shape) for w in earlier.model.weights][-4:] == [
        (64, 500),
        (500,),
        (500, 3),
        (3,),
    ]
    x = data.test.pixels[:4]
    expected = BNN(data.architecture)
    expected.set_weights(earlier.model.get_weights())
    np.testing.assert_array_equal(earlier.model.logits(x, seed=1), expected.logits(x, seed=1))
    two = TrainingSettings(epochs=2, batch_size=10)
    assert train_run(run_config("BNN", data, two), data, two, folder, resume=True)
    assert weights(folder)["epoch"] == 2
    assert Run.load(folder).config.architecture == data.architecture
    text = run_config("BNN", data, two, architecture="text")
    with pytest.raises(InputError, match="channels is "):
        train_run(text, data, two, folder, resume=True)
    again = TrainingSettings(epochs=1, batch_size=10)
    run = train("BNN", data, again, tmp_path / "new")
    assert run.config.architecture.channels == (128, 128, 128)
    assert run.config.architecture.dropout == 0.3


def test_runs_of_the_text_say_so_and_are_resumed_as_such(
    digits: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = load_data(digits)
    small = {"dim_z": 4, "dim_h": 16, "channels": (2, 3, 4), "networks": "text"}
    run = train(DFX(data.architecture.replace(**small)), data, SETTINGS)
    assert run.folder == pathlib.Path("runs") / data.name / "DFX_text"
    assert load_run("DFX_text", data.name).config.architecture.networks == "text"
    assert find_run("bayes_K3_Z4_D_text", "mnist", pathlib.Path("runs")) == (
        pathlib.Path("runs/mnist/DFX_Z4_text"),
        3,
    )
    with pytest.raises(InputError, match="networks is text in the run and code in the flags"):
        train_run(run_config("DFX", data, SETTINGS), data, SETTINGS, run.folder, resume=True)
    with pytest.raises(InputError, match="--architecture does not apply to MLP, it has no conv"):
        run_config("MLP", data, SETTINGS, architecture="text")
