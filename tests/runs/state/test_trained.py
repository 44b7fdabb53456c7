"""`trained.json` is absent or true, and a finished run is left as it is."""

import json
import pathlib

import numpy as np
import pytest

from tests.small import images
from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.splits import Split
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.checkpoints import TRAINED
from tf_deepbayes.runs.state.identity import weights_digest
from tf_deepbayes.runs.state.trained import epochs_done, training, unfinished
from tf_deepbayes.training.new_runs import run_config, train_run
from tf_deepbayes.training.settings import TrainingSettings

SIZES = Architecture((8, 8, 1), 3, dim_z=2, dim_h=8, channels=(2, 2, 2))
SPLIT = Split(images(20, shape=(8, 8, 1)), np.arange(20) % 3)


def data(seed: int = 0) -> Dataset:
    split = Split(images(20, seed, shape=(8, 8, 1)), np.arange(20) % 3)
    return Dataset("tiny", split, split, "arrays", sizes=SIZES)


def train_to(epochs: int, folder: pathlib.Path, dataset: Dataset | None = None) -> bool:
    settings = TrainingSettings(epochs=epochs, batch_size=10)
    dataset = dataset or data()
    config = run_config("MLP", dataset, settings)
    return train_run(config, dataset, settings, folder, resume=True)


def test_a_finished_run_says_so_and_is_not_trained_again(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "MLP"
    assert train_to(2, folder)
    found = json.loads((folder / TRAINED).read_text())
    model, config = checkpoints.load_model(folder)
    assert (found["epochs"], found["epochs_asked"], found["seed"]) == (2, 2, 0)
    assert found["weights"] == weights_digest(model) and found["settings"] == config.training
    assert unfinished(folder, config.training) is None
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for epochs in (2, 1):
        assert not train_to(epochs, folder)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert train_to(3, folder) and epochs_done(folder) == 3


def test_what_ends_early_has_no_mark(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "MLP"
    train_to(1, folder)
    config = checkpoints.load_config(folder)
    asked = {**config.training, "epochs": 5}
    with pytest.raises(KeyboardInterrupt), training(folder, config, 5, True, ("epochs",)) as more:
        assert more and not (folder / TRAINED).exists()
        raise KeyboardInterrupt
    assert not (folder / TRAINED).exists() and not (folder / ".lock").exists()
    assert unfinished(folder, asked) == "1 of 5 epochs are done"
    assert unfinished(folder, {"imported_from": "checkpoint_0.pkl"}) is None


def test_other_data_are_not_gone_on_with_and_nothing_is_lost(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "MLP"
    train_to(1, folder)
    mark = (folder / TRAINED).read_text()
    for epochs in (1, 2):
        with pytest.raises(InputError, match="data_digest is"):
            train_to(epochs, folder, data(seed=1))
    assert (folder / TRAINED).read_text() == mark


def test_a_run_of_an_earlier_version_goes_on_without_what_it_did_not_record(
    tmp_path: pathlib.Path,
) -> None:
    folder = tmp_path / "MLP"
    train_to(1, folder)
    config = json.loads((folder / "config.json").read_text())
    del config["training"]["data_digest"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / TRAINED).unlink()
    assert unfinished(folder, config["training"]) is None
    assert train_to(2, folder)
    assert checkpoints.load_config(folder).training["data_digest"]
