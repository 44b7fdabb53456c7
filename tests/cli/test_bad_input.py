"""Whatever an app is given, it ends in order: done, or one line that says what is wrong.

Hypothesis draws values for every flag of every app, and damage to every file that an app reads.
`BAD_INPUT_EXAMPLES=1000 pytest tests/cli/test_bad_input.py` looks further than the default.
"""

import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.forked_app import flag_types, run_app

EXAMPLES = int(os.environ.get("BAD_INPUT_EXAMPLES", "12"))
DATA = ["--data", "mnist_5k"]
FEW = ["--num_images", "2", "--num_samples", "2", "--eval_draws", "1"]
RUN, ATTACKED, THRESHOLDS = "runs/mnist_5k/DBX", "fgsm_eps0.10", "thresholds.json"
HERE = [*DATA, "--runs", "runs"]
# App → arguments that work in the folder of `sound`, quickly.
APPS: dict[str, list[str]] = {
    "train/vae.py": [
        "DBX",
        *DATA,
        "--num_train",
        "50",
        "--epochs",
        "1",
        "--dim_z",
        "2",
        "--out",
        "new",
    ],
    "train/import_checkpoint.py": ["checkpoint_0.pkl", "--letter", "E", *DATA, "--out", "new"],
    "train/export_checkpoint.py": [RUN, "--out", "new"],
    "train/export.py": [RUN, "--num_samples", "1", "--out", "new", *HERE],
    "attack/attack.py": ["--victim", "DBX", *FEW, *HERE],
    "attack/evaluate.py": [
        "--victim",
        "DBX",
        "--budget",
        "quick",
        "--check_images",
        "2",
        *FEW,
        *HERE,
    ],
    "attack/substitute.py": ["--victim", "DBX", "--num_train", "50", "--epochs", "1", *HERE],
    "attack/extract_index.py": ["DBX", "--num_samples", "1", *HERE],
    "detect/detect.py": [
        *("--victim", "DBX", "--num_train", "30", "--num_clean", "2", "--num_samples", "2"),
        *HERE,
    ],
    "reproduce/tables.py": ["--models", "DBX", *HERE],
}
# App → files that it reads there, and what it needs to be told to read them.
FILES: list[tuple[str, str, list[str]]] = [
    ("attack/attack.py", f"{RUN}/config.json", []),
    ("attack/attack.py", f"{RUN}/checkpoint.npz", []),
    ("attack/attack.py", "indices.txt", ["--indices", "indices.txt"]),
    ("train/vae.py", f"{RUN}/config.json", ["--resume", "--out", RUN]),
    ("train/vae.py", f"{RUN}/checkpoint.npz", ["--resume", "--out", RUN, "--epochs", "2"]),
    ("train/vae.py", f"{RUN}/history.csv", ["--resume", "--out", RUN, "--epochs", "2"]),
    ("train/import_checkpoint.py", "checkpoint_0.pkl", []),
    ("train/export_checkpoint.py", f"{RUN}/checkpoint.npz", []),
    ("train/export.py", THRESHOLDS, ["--thresholds", THRESHOLDS]),
    ("detect/detect.py", f"{RUN}/attacks/{ATTACKED}.npz", ["--thresholds", THRESHOLDS]),
    ("detect/detect.py", THRESHOLDS, ["--thresholds", THRESHOLDS]),
    ("reproduce/tables.py", f"{RUN}/attacks/{ATTACKED}.json", []),
    ("reproduce/tables.py", f"{RUN}/detection/{ATTACKED}.json", []),
]
NONSENSE = st.one_of(
    st.sampled_from(
        ["", "nan", "inf", "-1", "0", "-0.5", "1e400", "1.5", "None", "true", "[]", ","]
    ),
    st.sampled_from(["9" * 30, "-" + "9" * 30, "absent/file", "runs", "indices.txt", "a" * 300]),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12),
)
Done = subprocess.CompletedProcess[str]
check = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def assert_in_order(done: Done, what: object) -> None:
    """Done, or stopped with one line: status 2 for what came in, 1 for what came out."""
    shown = f"{what}: status {done.returncode}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stdout + done.stderr, shown
    if done.returncode:
        assert done.returncode in (1, 2), shown
        lines = done.stderr.splitlines()
        assert len(lines) == 1, shown
        assert lines[0].startswith("error: " if done.returncode == 2 else "stopped: "), shown


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with one of each kind of file, none of them damaged."""
    folder = tmp_path_factory.mktemp("sound")

    def run(script: str, *arguments: str) -> None:
        done = run_app(script, arguments, folder)
        assert done.returncode == 0, done.stderr

    run("train/vae.py", *APPS["train/vae.py"], "--out", RUN)
    run("train/export_checkpoint.py", RUN, "--out", "checkpoint_0.pkl")
    run("attack/attack.py", *APPS["attack/attack.py"])
    run("detect/detect.py", *APPS["detect/detect.py"])
    (fitted,) = (folder / RUN / "detection").glob("thresholds_*.json")
    shutil.copy(fitted, folder / THRESHOLDS)
    (folder / "indices.txt").write_text("0\n1\n2\n")
    return folder


@pytest.fixture
def folder(sound: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A place for the examples of one test."""
    yield tmp_path / "copy"


def fresh(sound: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The sound files once more, for one example."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    return folder


@pytest.mark.parametrize("script", APPS)
def test_any_value_of_any_flag(script: str, sound: pathlib.Path, folder: pathlib.Path) -> None:
    names = sorted(flag_types(script))

    @check
    @given(st.dictionaries(st.sampled_from(names), NONSENSE, min_size=1, max_size=2))
    def try_flags(values: dict[str, str]) -> None:
        given_flags = [f"--{name}={value}" for name, value in values.items()]
        done = run_app(script, [*APPS[script], *given_flags], fresh(sound, folder))
        assert_in_order(done, given_flags)

    try_flags()


@pytest.mark.parametrize("script", APPS)
def test_any_argument(script: str, sound: pathlib.Path, folder: pathlib.Path) -> None:
    @check
    @given(st.lists(NONSENSE, min_size=1, max_size=2))
    def try_arguments(values: list[str]) -> None:
        done = run_app(script, [*APPS[script], "--", *values], fresh(sound, folder))
        assert done.returncode == 2
        assert_in_order(done, values)

    try_arguments()


def other_values() -> st.SearchStrategy[Any]:
    """What a JSON file may hold in place of what belongs there."""
    return st.sampled_from([None, -1, 0, 1e308, float("nan"), 10**30, "", "x", [], {}, [[1]], True])


def places(content: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of everything in a JSON value."""
    yield path
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


def put(content: Any, path: tuple, value: Any) -> Any:
    """The JSON value with another at a path."""
    if not path:
        return value
    content[path[0]] = put(content[path[0]], path[1:], value)
    return content


def damage_json(path: pathlib.Path, draw: st.DataObject) -> str:
    """One value replaced."""
    content = json.loads(path.read_text())
    place = draw.draw(st.sampled_from(list(places(content))))
    value = draw.draw(other_values())
    path.write_text(json.dumps(put(content, place, value)))
    return f"{place} is {value!r}"


def damage_arrays(path: pathlib.Path, draw: st.DataObject) -> str:
    """One array of another shape or type, not finite, or gone."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    name = draw.draw(st.sampled_from(sorted(arrays)))
    old = arrays.pop(name)
    others = {
        "gone": None,
        "empty": np.zeros([0], old.dtype),
        "text": np.array(["x"]),
        "nan": np.full(old.shape, np.nan),
        "large": np.full(old.shape, 1e30),
        "one more axis": old[None],
        "first row": old[:1] if old.ndim else old,
        "complex": old.astype(complex),
    }
    kind = draw.draw(st.sampled_from(sorted(others)))
    if others[kind] is not None:
        arrays[name] = others[kind]
    np.savez(path, **arrays)
    return f"{name}: {kind}"


def damage_bytes(path: pathlib.Path, draw: st.DataObject) -> str:
    """Cut off, overwritten in places, or something else altogether."""
    content = bytearray(path.read_bytes())
    kind = draw.draw(st.sampled_from(["cut", "flip", "other", "folder"]))
    if kind == "cut":
        content = content[: draw.draw(st.integers(0, len(content) - 1))]
    elif kind == "flip":
        for place in draw.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
            content[place] ^= draw.draw(st.integers(1, 255))
    elif kind == "other":
        content = bytearray(draw.draw(st.binary(max_size=40)))
    path.unlink()
    path.mkdir() if kind == "folder" else path.write_bytes(content)
    return kind


@pytest.mark.parametrize(("script", "name", "flags"), FILES)
def test_any_damage_to_a_file(
    script: str, name: str, flags: list[str], sound: pathlib.Path, folder: pathlib.Path
) -> None:
    inside = {".json": damage_json, ".npz": damage_arrays}.get(pathlib.Path(name).suffix)

    @check
    @given(st.data(), st.booleans())
    def try_damage(draw: st.DataObject, as_bytes: bool) -> None:
        place = fresh(sound, folder)
        damage = damage_bytes if as_bytes or inside is None else inside
        what = damage(place / name, draw)
        assert_in_order(run_app(script, [*APPS[script], *flags], place), f"{name}: {what}")

    try_damage()
