"""Which run is meant, and folders given as text."""

import pathlib

import numpy as np
import pytest

from tests.small import IMAGES, classifier, images
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.splits import Split
from tf_deepbayes.export.saved_model import export
from tf_deepbayes.models.baselines import MLP
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.run import Run, find_run, load_model, load_run
from tf_deepbayes.training.settings import TrainingSettings
from tf_deepbayes.training.train import train


def make_run(folder: pathlib.Path, name: str = "DBX") -> pathlib.Path:
    """An untrained run."""
    likelihood = None if name == "MLP" else "l2"
    model = MLP(IMAGES) if name == "MLP" else classifier(name)
    checkpoints.create(folder, RunConfig(name, "mnist", IMAGES, likelihood, 0, {}), model)
    return folder


@pytest.mark.parametrize("name", ["cnn", "GFZ", "A", "bayes_K3_A", "fea_K10_F_mid", "anything"])
def test_a_run_folder_goes_before_a_name(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / name)
    (tmp_path / "runs" / "mnist" / "CNN").mkdir(parents=True)
    assert find_run(name, "mnist", pathlib.Path("runs"))[0] == pathlib.Path(name)


def test_a_folder_that_is_no_run_does_not(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cnn").mkdir()
    assert find_run("cnn", "mnist", pathlib.Path("runs")) == (pathlib.Path("runs/mnist/CNN"), 1)
    with pytest.raises(InputError, match=r"no run 'elsewhere': expected a run folder"):
        find_run("elsewhere", "mnist", pathlib.Path("runs"))


@pytest.mark.parametrize("path", [".", "", "../DBX", "../DBX/."])
def test_a_run_knows_its_name(
    path: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_run(tmp_path / "DBX"))
    assert Run.load(path).folder.name == "DBX"
    assert load_run(path, "mnist").folder.name == "DBX"


def test_folders_given_as_text(tmp_path: pathlib.Path) -> None:
    text = str(make_run(tmp_path / "MLP", "MLP"))
    assert checkpoints.load_config(text).model == "MLP"
    model, config = checkpoints.load_model(text)
    assert type(model) is type(load_model(text)) is MLP
    run = load_run(text)
    assert run.folder == Run.load(text).folder == pathlib.Path(text)
    split = Split(images(20), np.arange(20) % 3)
    new = str(tmp_path / "new")
    checkpoints.save_config(new, config)
    train(model, split, split, TrainingSettings(epochs=1, batch_size=10), new, verbose=False)
    checkpoints.save(new, model, epoch=1)
    assert checkpoints.restore(new, model) == 1
    export(run, f"{new}/served")
    assert (tmp_path / "new" / "served" / "metadata.json").is_file()
