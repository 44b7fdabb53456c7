"""Zoo entries: what is packed comes out rounded, under its digest, as a run like any other."""

import json
import pathlib

import numpy as np
import pytest

from tests.small import images
from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_arrays, write_arrays
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.splits import Split
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.run import load_run
from tf_deepbayes.runs.state.identity import weights_digest
from tf_deepbayes.runs.state.trained import unfinished
from tf_deepbayes.runs.zoo import entries
from tf_deepbayes.training.new_runs import run_config, train_run
from tf_deepbayes.training.settings import TrainingSettings

SIZES = Architecture((28, 28, 1), 10, dim_z=2, dim_h=8, channels=(2, 2, 2))
SETTINGS = TrainingSettings(epochs=1, batch_size=10)


def data() -> Dataset:
    split = Split(images(20), np.arange(20) % 10)
    return Dataset("tiny", split, split, "arrays", sizes=SIZES)


def train(folder: pathlib.Path, epochs: int = 1) -> bool:
    settings = TrainingSettings(epochs=epochs, batch_size=10)
    return train_run(run_config("GFZ", data(), settings), data(), settings, folder, resume=True)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, pathlib.Path]:
    """(a trained run, its entry)."""
    root = tmp_path_factory.mktemp("zoo")
    run, entry = root / "run" / "GFZ", root / "zoo" / "tiny" / "GFZ"
    train(run)
    entries.pack(run, entry, {"clean_accuracy": 0.5})
    return run, entry


def test_an_entry_is_the_run_rounded(
    packed: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    run, entry = packed
    found = load_run(entry, runs=tmp_path)
    assert found.folder == tmp_path / "zoo" / "tiny" / "GFZ"
    trained = checkpoints.load_model(run)[0].get_weights()
    for restored, weight in zip(found.model.get_weights(), trained, strict=True):
        np.testing.assert_array_equal(restored, weight.astype(np.float16).astype(np.float32))
    about = json.loads((entry / entries.MODEL).read_text())
    assert about["trained"]["weights"] == weights_digest(found.model)
    assert about["about"] == {"clean_accuracy": 0.5}
    assert unfinished(found.folder, found.config.training) is None
    assert (entry / "weights.npz").stat().st_size < (run / "checkpoint.npz").stat().st_size / 4


def test_a_run_of_an_entry_is_made_once_and_is_not_trained_further(
    packed: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    folder = load_run(packed[1], runs=tmp_path).folder
    (folder / "attacks").mkdir()
    before = (folder / "checkpoint.npz").stat().st_mtime_ns
    assert load_run(packed[1], runs=tmp_path).folder == folder
    assert (folder / "checkpoint.npz").stat().st_mtime_ns == before
    assert not train(folder)  # it has its epochs
    with pytest.raises(InputError, match="holds no optimizer state"):
        train(folder, 2)
    assert unfinished(folder, {"epochs": 1}) is None and (folder / "trained.json").is_file()


def test_a_damaged_entry_makes_no_run(
    packed: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    entry = tmp_path / "zoo" / "GFZ"
    entry.mkdir(parents=True)
    for path in packed[1].iterdir():
        (entry / path.name).write_bytes(path.read_bytes())
    weights = read_arrays(entry / entries.WEIGHTS, "")
    changed = {name: array + np.float16(1) for name, array in weights.items()}
    write_arrays(entry / entries.WEIGHTS, changed)
    with pytest.raises(InputError, match="another digest"):
        load_run(entry, runs=tmp_path / "runs")
    (entry / entries.MODEL).write_text('{"format": 7}')
    with pytest.raises(InputError, match="format 1"):
        load_run(entry, data="tiny", runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_an_entry_is_not_replaced_and_weights_fit_float16(
    packed: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    with pytest.raises(InputError, match="already"):
        entries.pack(*packed, {})
    with pytest.raises(InputError, match="65,504"):
        entries.rounded({"weights/a/0": np.array([1e6], np.float32)})


def test_another_run_in_its_place_is_named(
    packed: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    train(tmp_path / "zoo" / "tiny" / "GFZ")
    with pytest.raises(InputError, match="holds another run"):
        load_run(packed[1], runs=tmp_path)
