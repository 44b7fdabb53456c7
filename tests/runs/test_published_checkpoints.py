"""Published checkpoints in and out; what is damaged or malicious is refused and runs nothing."""

import os
import pathlib
import pickle
import pickletools
import re
from collections.abc import Callable

import numpy as np
import pytest

from tests import small
from tests.conftest import App
from tests.pickles import LAUGHS, Call, assembled, published, refusal
from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.legacy import published_names, variables
from tf_deepbayes.runs import checkpoints, published_checkpoints
from tf_deepbayes.runs.state import trained

GREY = Architecture((28, 28, 1), num_classes=10, dim_z=4, dim_h=16, channels=(2, 3, 4))
COLOUR = GREY.replace(input_shape=(32, 32, 3), num_classes=2)
DATA = {"mnist": GREY, "plane_frog": COLOUR}


def run_folder(folder: pathlib.Path, model: str, data_name: str = "mnist") -> pathlib.Path:
    """A run of a small classifier with random weights."""
    architecture = DATA[data_name]
    config = checkpoints.RunConfig(model, data_name, architecture, "l2", 0, {})
    checkpoints.create(folder, config, small.classifier(model, architecture))
    return folder


def weights(folder: pathlib.Path) -> list[np.ndarray]:
    return checkpoints.load_model(folder)[0].get_weights()


@pytest.mark.parametrize("data_name", DATA)
@pytest.mark.parametrize("letter", published_names.LETTERS)
def test_what_is_exported_is_imported_again(
    letter: str, data_name: str, tmp_path: pathlib.Path
) -> None:
    run = run_folder(tmp_path / "run", published_names.LETTERS[letter], data_name)
    path = tmp_path / "checkpoint_0.pkl"
    assert published_checkpoints.export_checkpoint(run, path) == letter
    model, config = published_checkpoints.import_checkpoint(path, letter, data_name)
    assert config.architecture == DATA[data_name] and config.likelihood == "l2"
    assert published_checkpoints.default_run_name(config) == f"{published_names.LETTERS[letter]}_Z4"
    checkpoints.create(tmp_path / "again", config, model)
    for ours, theirs in zip(weights(tmp_path / "again"), weights(run), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_networks_of_the_text_are_in_no_published_checkpoint(tmp_path: pathlib.Path) -> None:
    text = GREY.replace(networks="text")
    config = checkpoints.RunConfig("GBZ", "mnist", text, "l2", 0, {})
    checkpoints.create(tmp_path / "run", config, small.classifier("GBZ", text))
    with pytest.raises(ValueError, match=r"has the networks of the paper's text, which no publ"):
        published_checkpoints.export_checkpoint(tmp_path / "run", tmp_path / "checkpoint_0.pkl")
    assert not (tmp_path / "checkpoint_0.pkl").exists()
    assert published_checkpoints.default_run_name(config) == "GBZ_Z4_text"


def test_a_pickle_holds_nothing_that_python_3_6_and_numpy_1_do_not_have(
    tmp_path: pathlib.Path,
) -> None:
    path = tmp_path / "checkpoint_0.pkl"
    published_checkpoints.export_checkpoint(run_folder(tmp_path / "run", "GFZ"), path)
    opcodes = list(pickletools.genops(path.read_bytes()))
    assert (opcodes[0][0].name, opcodes[0][1]) == ("PROTO", 2)
    assert all(opcode.proto <= 2 for opcode, _, _ in opcodes)
    assert {argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"} == {
        "numpy.core.multiarray _reconstruct",
        "numpy ndarray",
        "numpy dtype",
        "_codecs encode",
    }
    loaded = pickle.loads(path.read_bytes())
    assert all(type(a) is np.ndarray and a.dtype == np.float32 for a in loaded.values())
    model, _ = checkpoints.load_model(tmp_path / "run")
    for name, array in variables.params_from_model(model).items():
        np.testing.assert_array_equal(loaded[name], array)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "deep list": (
        lambda: assembled(b"}U\x01a", b"]" * 10**5, b"a" * (10**5 - 1), b"s"),
        "got list",
    ),
    "laughing value": (lambda: assembled(b"}U\x01a", LAUGHS, b"s"), "'a' to be an array"),
    "huge memo": (lambda: assembled(b"}r\xff\xff\xff\x7f"), "found none"),
    "whole numbers": (
        lambda: published(**{"gen_l0_b:0": np.zeros(32, np.int64)}),
        "gen_l0_b:0 must be finite float32, got int64",
    ),
    "NaN": (
        lambda: published(**{"gen_l0_b:0": np.full(32, np.nan, np.float32)}),
        "gen_l0_b:0 must be finite float32, got NaN",
    ),
    "missing": (lambda: published(**{"gen_l0_b:0": None}), "it lacks 'gen_l0_b:0'"),
    "extra": (lambda: published(more=np.zeros(2)), "GFZ has no use for 'more'"),
    "other shape": (
        lambda: published(**{"gen_l0_b:0": np.zeros(31, np.float32)}),
        r"gen_l0_b:0 of GFZ must have shape \[32\], got \[31\]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_checkpoint_is_refused_in_one_line_and_runs_nothing(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: pathlib.Path) -> object:
        return published_checkpoints.import_checkpoint(path, "A", "mnist")

    monkeypatch.chdir(tmp_path)
    content, message = REFUSED[name]
    found = refusal(read, content(), tmp_path)
    assert re.search(f"checkpoint_0.pkl.*{message}", found)


@pytest.mark.parametrize(
    ("letter", "data_name", "likelihood", "message"),
    [
        ("D", "mnist", "l2", "not the variables of a published DFX"),
        ("B", "mnist", "l2", "check letter and likelihood"),
        ("A", "mnist", "gaussian", "gen_l4_W:0 of GFZ must have shape"),
        ("A", "plane_frog", "l2", r"is of inputs \[28, 28, 1\] in 10 classes, plane_frog has"),
        ("MLP", "mnist", "l2", "unknown model 'MLP'; choose one of GFZ"),
        ("A", "imagenet", "l2", "unknown data set 'imagenet'"),
        ("A", "mnist", "l3", "unknown likelihood 'l3'"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    letter: str, data_name: str, likelihood: str, message: str, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "checkpoint_0.pkl"
    path.write_bytes(published())
    with pytest.raises(ValueError, match=message):
        published_checkpoints.import_checkpoint(path, letter, data_name, likelihood)


def test_the_apps_import_what_they_export(tmp_path: pathlib.Path, app: App) -> None:
    run = run_folder(tmp_path / "GBZ", "GBZ")
    done = app("train/export_checkpoint.py", run, "--out", "checkpoint_0.pkl")
    assert done.returncode == 0 and "letter F" in done.stdout, done.stderr
    arguments = ["checkpoint_0.pkl", "--letter", "F", "--out", "back"]
    done = app("train/import_checkpoint.py", *arguments)
    assert done.returncode == 0 and done.stdout.strip() == "back", done.stderr
    for ours, theirs in zip(weights(tmp_path / "back"), weights(run), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    before = sorted(tmp_path.rglob("*"))
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Call(os.system, "touch evil")))
    for script, flags, message in (
        ("train/import_checkpoint.py", ["evil.pkl", "--letter", "A"], "asks for posix.system"),
        ("train/import_checkpoint.py", ["checkpoint_0.pkl"], "expected --letter"),
        ("train/export_checkpoint.py", [run], "expected --out"),
    ):
        done = app(script, *flags)
        assert done.returncode == 2, done.stderr
        lines = done.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]
    (tmp_path / "evil.pkl").unlink()
    assert sorted(tmp_path.rglob("*")) == before


def test_an_imported_run_is_not_resumed(tmp_path: pathlib.Path) -> None:
    published_checkpoints.export_checkpoint(run_folder(tmp_path / "run", "DBX"), tmp_path / "x.pkl")
    model, config = published_checkpoints.import_checkpoint(tmp_path / "x.pkl", "E", "mnist")
    checkpoints.create(tmp_path / "back", config, model)
    with pytest.raises(ValueError, match="no optimizer state: it cannot be resumed"):
        trained.prepare_folder(tmp_path / "back", config, resume=True)
    with pytest.raises(ValueError, match="holds a run"):
        trained.prepare_folder(tmp_path / "back", config, resume=False)


def test_an_import_that_is_killed_leaves_no_run(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, save_config = tmp_path / "run", checkpoints.save_config

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_config", kill)
        with pytest.raises(KeyboardInterrupt):
            run_folder(folder, "DBX")
    assert not list(tmp_path.iterdir())
    with monkeypatch.context() as patch:  # as SIGKILL: nobody cleans up
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        patch.setattr(pathlib.Path, "rename", kill)
        with pytest.raises(KeyboardInterrupt):
            run_folder(folder, "DBX")
    assert checkpoints.save_config is save_config and not folder.exists()
    run_folder(folder, "DBX")
    assert len(weights(folder)) > 0
    with pytest.raises(ValueError, match="holds a run"):
        run_folder(folder, "DBX")


def test_what_is_there_is_not_overwritten(tmp_path: pathlib.Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not an empty folder"):
        run_folder(tmp_path / "full", "DBX")
    with pytest.raises(ValueError, match="cannot write"):
        run_folder(tmp_path / "full" / "notes.txt" / "run", "DBX")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_an_export_that_is_killed_leaves_no_pickle(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_folder(tmp_path / "run", "DBX")
    path = tmp_path / "checkpoint_0.pkl"

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", kill)
        with pytest.raises(KeyboardInterrupt):
            published_checkpoints.export_checkpoint(run, path)
    assert list(tmp_path.iterdir()) == [run]
    published_checkpoints.export_checkpoint(run, path)
    with pytest.raises(ValueError, match="exists"):
        published_checkpoints.export_checkpoint(run, path)
