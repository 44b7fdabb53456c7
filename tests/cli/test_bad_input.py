"""Whatever is in its files, an app ends in order: done, or one line that says what is wrong.

Hypothesis draws damage to every file that an app reads.
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli import conftest
from tests.cli.conftest import (
    APPS,
    ATTACKED,
    RUN,
    THRESHOLDS,
    assert_in_order,
    check,
    fresh,
)
from tests.forked_app import run_app

sound = conftest.sound  # by its name here too: others look the undamaged files up in this module
REPORT = ["--format", "html", "--out", "report"]
# App → files that it reads there, and what it needs to be told to read them.
FILES: list[tuple[str, str, list[str]]] = [
    ("attack/attack.py", f"{RUN}/config.json", []),
    ("attack/attack.py", f"{RUN}/checkpoint.npz", []),
    ("attack/attack.py", "indices.json", ["--indices", "indices.json", "--name", "few"]),
    ("train/vae.py", f"{RUN}/config.json", ["--resume", "--out", RUN]),
    ("train/vae.py", f"{RUN}/checkpoint.npz", ["--resume", "--out", RUN, "--epochs", "2"]),
    ("train/vae.py", f"{RUN}/history.csv", ["--resume", "--out", RUN, "--epochs", "2"]),
    ("train/import_checkpoint.py", "checkpoint_0.pkl", []),
    ("train/export_checkpoint.py", f"{RUN}/checkpoint.npz", []),
    ("train/export.py", THRESHOLDS, ["--thresholds", THRESHOLDS]),
    ("detect/detect.py", f"{RUN}/attacks/{ATTACKED}.npz", []),
    ("detect/detect.py", THRESHOLDS, []),
    ("reproduce/tables.py", f"{RUN}/attacks/{ATTACKED}.json", []),
    ("reproduce/tables.py", f"{RUN}/detection/{ATTACKED}.json", []),
    ("reproduce/tables.py", f"{RUN}/attacks/{ATTACKED}.json", REPORT),
    ("reproduce/tables.py", f"{RUN}/attacks/{ATTACKED}.npz", REPORT),
    ("reproduce/tables.py", f"{RUN}/detection/{ATTACKED}.json", REPORT),
    ("reproduce/tables.py", f"{RUN}/config.json", REPORT),
    ("reproduce/tables.py", f"{RUN}/trained.json", REPORT),
    ("reproduce/tables.py", f"{RUN}/history.csv", REPORT),
]


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
    sound_one = run_app(script, [*APPS[script], *flags], fresh(sound, folder))
    assert sound_one.returncode == 0, sound_one.stderr  # what is damaged below works undamaged
    inside = {".json": damage_json, ".npz": damage_arrays}.get(pathlib.Path(name).suffix)

    @check
    @given(st.data(), st.booleans())
    def try_damage(draw: st.DataObject, as_bytes: bool) -> None:
        place = fresh(sound, folder)
        damage = damage_bytes if as_bytes or inside is None else inside
        what = damage(place / name, draw)
        assert_in_order(run_app(script, [*APPS[script], *flags], place), f"{name}: {what}")

    try_damage()
