"""Folders that are written whole or not at all, and exchanged for a new one in one step."""

import os
import pathlib
import time
from collections.abc import Callable

import pytest

from tf_deepbayes.core import files
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import write_folder_atomically, write_text


def writer(text: str, broken: bool = False) -> Callable[[pathlib.Path], None]:
    """Writes one file in a subfolder, then perhaps fails."""

    def write(folder: pathlib.Path) -> None:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text(text)
        if broken:
            raise RuntimeError("disk full")

    return write


def content(folder: pathlib.Path) -> str:
    """The one file of the one folder that is left."""
    assert list(folder.parent.iterdir()) == [folder]
    return (folder / "sub" / "file").read_text()


@pytest.fixture(params=["at once", "step by step"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that can exchange two folders, and one that cannot."""
    if request.param == "step by step":
        monkeypatch.setattr(files, "_exchange_at_once", lambda one, other: False)


@pytest.mark.usefixtures("system")
def test_a_folder_is_written_and_overwritten(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "new" / "folder"
    write_folder_atomically(folder, writer("old"))
    assert content(folder) == "old"
    write_folder_atomically(folder, writer("new"), overwrite=True)
    assert content(folder) == "new"


@pytest.mark.usefixtures("system")
def test_a_writer_that_fails_leaves_what_was_there(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(RuntimeError, match="disk full"):
        write_folder_atomically(folder, writer("new", broken=True))
    assert not list(tmp_path.iterdir())
    write_folder_atomically(folder, writer("old"))
    with pytest.raises(RuntimeError, match="disk full"):
        write_folder_atomically(folder, writer("new", broken=True), overwrite=True)
    assert content(folder) == "old"


def test_without_overwrite_a_folder_stays(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "folder"
    write_folder_atomically(folder, writer("old"))
    with pytest.raises(InputError, match="not an empty folder"):
        write_folder_atomically(folder, writer("new"))
    assert content(folder) == "old"


def test_a_rename_that_fails_puts_the_old_folder_back(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    write_folder_atomically(folder, writer("old"))
    rename = pathlib.Path.rename

    def failing(self: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
        if target == folder and not self.name.endswith(".old"):
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(files, "_exchange_at_once", lambda one, other: False)
    monkeypatch.setattr(pathlib.Path, "rename", failing)
    with pytest.raises(OSError, match="no"):
        write_folder_atomically(folder, writer("new"), overwrite=True)
    assert content(folder) == "old"


def test_what_a_killed_process_left_is_cleared_after_a_day(tmp_path: pathlib.Path) -> None:
    day = 24 * 3600
    for name, age in ((".result.json.abcdefgh", 2 * day), (".result.json.ijklmnop", day // 2)):
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    (tmp_path / ".folder.abcdefgh" / "sub").mkdir(parents=True)
    os.utime(tmp_path / ".folder.abcdefgh", (time.time() - 2 * day,) * 2)
    write_text(tmp_path / "result.json", "whole")
    write_folder_atomically(tmp_path / "folder", writer("whole"))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"result.json", "folder", ".result.json.ijklmnop"}
