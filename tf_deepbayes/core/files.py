"""Files and folders that are written completely or not at all."""

import contextlib
import ctypes
import glob
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError

LEFT_OVER = 24 * 3600.0  # seconds after which a temporary name is that of a process that was killed


def write_atomically(path: pathlib.Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Call write(file) on a temporary file beside `path`, then rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = pathlib.Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes files that only their owner can read
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def write_folder_atomically(
    folder: pathlib.Path, write: Callable[[pathlib.Path], Any], overwrite: bool = False
) -> None:
    """Call write(temporary folder beside `folder`), then rename it to `folder`.

    An overwritten folder is exchanged for the new one in a single step if the system supports it
    (Linux), so that one of the two always exists.

    Raises:
        InputError: something is there and is not to be overwritten; an empty folder is nothing.
    """
    folder = folder.resolve()
    if not overwrite and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; give another one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(folder)
    temporary = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        write(temporary)
        for path in [*temporary.rglob("*"), temporary]:
            _flush(path)
        temporary.chmod(0o755)  # mkdtemp makes folders that only their owner can open
        if overwrite and folder.exists():
            _exchange(temporary, folder)
        else:
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # holds what was overwritten


def _remove_left_over(path: pathlib.Path) -> None:
    """Remove temporary files for `path` left by processes killed a day ago or more."""
    for old in path.parent.glob(f".{glob.escape(path.name)}.????????"):
        with contextlib.suppress(OSError):  # another process was quicker, or it is not ours
            if time.time() - old.stat().st_mtime > LEFT_OVER:
                shutil.rmtree(old) if old.is_dir() else old.unlink()


def _flush(path: pathlib.Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exchange(one: pathlib.Path, other: pathlib.Path) -> None:
    """Swap two folders on the same file system."""
    if _exchange_at_once(one, other):
        return
    aside = one.with_name(one.name + ".old")
    other.rename(aside)
    try:
        one.rename(other)
    except BaseException:
        aside.rename(other)
        raise
    aside.rename(one)


def _exchange_at_once(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Swap two paths with renameat2; False if the system or the file system lacks it."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of <linux/fs.h>
    return rename is not None and rename(here, bytes(one), here, bytes(other), exchange) == 0


def digest(*arrays: Array) -> str:
    """The SHA-256 of the arrays' values in this order, to tell whether they are the same."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def read_arrays(path: pathlib.Path, advice: str) -> dict[str, Array]:
    """All arrays of an .npz file; InputError, ending in the advice, when it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}); {advice}") from None


def write_arrays(path: pathlib.Path, arrays: Mapping[str, Array]) -> None:
    """Write a compressed .npz atomically."""
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def write_text(path: pathlib.Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: pathlib.Path, content: Any) -> None:
    """Write indented JSON atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: pathlib.Path) -> Any:
    """Read JSON; InputError when it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"expected a file {path}, found none") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} as JSON: {error}") from None
