"""Folders that are written whole or not at all, and exchanged for a new one in one step."""

import errno
import os
import pathlib
import time
from collections.abc import Callable

import pytest
import tensorflow as tf

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


@pytest.mark.parametrize(("mask", "file_mode"), [(0o077, 0o600), (0o002, 0o664), (0o022, 0o644)])
def test_permissions_are_those_that_the_umask_gives(
    mask: int, file_mode: int, tmp_path: pathlib.Path
) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file", "whole")
        write_folder_atomically(tmp_path / "folder", writer("whole"))
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("file", "folder")]
    assert modes == [file_mode, 0o777 & ~mask]


def unnamed(file: object) -> None:
    """Fails as a full disk does: the error names no file."""
    raise OSError(errno.ENOSPC, "No space left on device")


def of_tensorflow(file: object) -> None:
    """Fails as TensorFlow does on a disk that cannot be written."""
    raise tf.errors.UnknownError(None, None, "{{function}} /tmp/.x/y; Read-only file system [Op:A]")


@pytest.mark.parametrize(
    ("write", "number"), [(unnamed, errno.ENOSPC), (of_tensorflow, errno.EROFS)]
)
def test_errors_of_writing_name_the_file(
    write: Callable[[object], None], number: int, tmp_path: pathlib.Path
) -> None:
    for atomically in (files.write_atomically, write_folder_atomically):
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            atomically(tmp_path / "it", write)
        assert caught.value.filename == str(tmp_path / "it") and caught.value.errno == number
        assert not list(tmp_path.iterdir())


def test_errors_do_not_name_the_temporary_file(tmp_path: pathlib.Path) -> None:
    def write(folder: pathlib.Path) -> None:
        (folder / "absent" / "file").write_text("")

    with pytest.raises(FileNotFoundError) as caught:
        write_folder_atomically(tmp_path / "it", write)
    assert caught.value.filename == str(tmp_path / "it")
    name = "n" * os.pathconf(tmp_path, "PC_NAME_MAX")
    with pytest.raises(OSError, match="File name too long") as caught_again:
        write_text(tmp_path / name, "")
    assert caught_again.value.filename == str(tmp_path / name)


def test_room_is_checked(tmp_path: pathlib.Path) -> None:
    files.check_room(tmp_path, 1000)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match=r"File too large|No space left"):
        files.check_room(tmp_path, 2**60)


def test_paths_given_as_text(tmp_path: pathlib.Path) -> None:
    files.write_json(f"{tmp_path}/it.json", [1])
    assert files.read_json(f"{tmp_path}/it.json") == [1]
    write_folder_atomically(f"{tmp_path}/folder", writer("whole"))
    assert (tmp_path / "folder" / "sub" / "file").is_file()


def test_folders_have_names(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    names = {path: files.named(path).name for path in (".", "", "..", "a/b", "/x/y")}
    assert names == {".": "run", "": "run", "..": tmp_path.name, "a/b": "b", "/x/y": "y"}
    assert files.named("a/b") == pathlib.Path("a/b")
