"""Published checkpoints in and out; what is damaged or malicious is refused and runs nothing."""

import builtins
import os
import pathlib
import pickle
import pickletools
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests import small
from tests.conftest import golden
from tf_deepbayes.core import array_pickle
from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.legacy import published_names, variables
from tf_deepbayes.runs import checkpoints, published_checkpoints

App = Callable[..., "subprocess.CompletedProcess[str]"]
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


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_pickles_of_every_protocol_and_byte_order_are_read(
    protocol: int, tmp_path: pathlib.Path
) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "transposed": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "scalar": np.array(1.5),
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(arrays, protocol=protocol))
    found = array_pickle.read_array_pickle(tmp_path / "x.pkl")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


class Call:
    """Pickled as a call."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def published(**changes: Any) -> bytes:
    """A checkpoint of a model A with some variables changed; None leaves one out."""
    params = {**golden("mnist_small_A").group("param"), **changes}
    return pickle.dumps({n: a for n, a in params.items() if a is not None}, protocol=3)


def assembled(*opcodes: bytes) -> bytes:
    return b"\x80\x02" + b"".join(opcodes) + b"."


# A tuple of ten times itself, thirty times: hashing or printing it would take for ever.
LAUGHS = b"()q\x00" + b"".join(b"(" + b"h\x00" * 10 + b"tq\x00" for _ in range(30)) + b"t"
# An array that says it has 10¹² values and holds one.
HUGE = (
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01\x8a\x06\x00\x10\xa5\xd4\xe8\x00\x85cnumpy\ndtype\nU\x02f4\x89\x88\x87R"
    b"\x89U\x04abcdtb"
)
TEXT = b"X\xe8\x03\x00\x00" + b"a" * 1000 + b"q\x00"
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "system": (lambda: pickle.dumps({"a": Call(os.system, "touch evil")}), "asks for posix.system"),
    "eval": (lambda: pickle.dumps(Call(builtins.eval, "open('evil', 'w')")), "asks for .*eval"),
    "ndarray called": (lambda: pickle.dumps({"a": Call(np.ndarray, (10**12,))}), "calls what is"),
    "object array": (lambda: published(a=np.array([None, {}])), "'O8' is not one of numbers"),
    "structured": (lambda: published(a=np.zeros(2, "f4,f4")), "'V8' is not one of numbers"),
    "new object": (lambda: assembled(b"cnumpy\nndarray\n)\x81"), "an opcode NEWOBJ"),
    "instance": (lambda: assembled(b"(S'touch evil'\nios\nsystem\n"), "an opcode STRING"),
    "deep list": (
        lambda: assembled(b"}U\x01a", b"]" * 10**5, b"a" * (10**5 - 1), b"s"),
        "got list",
    ),
    "deep key": (lambda: assembled(b"})", b"\x85" * 10**5, b"K\x01s"), "names are no text"),
    "laughing key": (lambda: assembled(b"}", LAUGHS, b"K\x01s"), "names are no text"),
    "laughing value": (lambda: assembled(b"}U\x01a", LAUGHS, b"s"), "'a' to be an array"),
    "huge memo": (lambda: assembled(b"}r\xff\xff\xff\x7f"), "found none"),
    "huge array": (lambda: assembled(b"}U\x01a", HUGE, b"s"), "cannot reshape"),
    "text again and again": (
        lambda: assembled(b"}", TEXT, b"c_codecs\nencode\nh\x00U\x06latin1\x86R" * 100),
        "encodes text that is no array",
    ),
    "empty stack": (lambda: assembled(b"R"), "stack is empty"),
    "no memo": (lambda: assembled(b"h\x07"), "damaged"),
    "truncated": (lambda: published()[:-100], "damaged or no pickle"),
    "no pickle": (lambda: b"hello", "damaged or no pickle"),
    "nothing": (lambda: b"", "damaged or no pickle"),
    "a list": (lambda: pickle.dumps([np.zeros(2)]), "holds no dictionary"),
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
    monkeypatch.chdir(tmp_path)
    content, message = REFUSED[name]
    path = tmp_path / "checkpoint_0.pkl"
    path.write_bytes(content())
    with pytest.raises(ValueError, match=f"checkpoint_0.pkl.*{message}") as caught:
        published_checkpoints.import_checkpoint(path, "A", "mnist")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert list(tmp_path.iterdir()) == [path]


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


def test_more_opcodes_than_arrays_need_are_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_pickle, "MAX_OPCODES", 100)
    (tmp_path / "x.pkl").write_bytes(published())
    with pytest.raises(ValueError, match="more than 100 opcodes"):
        array_pickle.read_array_pickle(tmp_path / "x.pkl")


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
        checkpoints.prepare_folder(tmp_path / "back", config, resume=True)
    with pytest.raises(ValueError, match="holds a run"):
        checkpoints.prepare_folder(tmp_path / "back", config, resume=False)


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
