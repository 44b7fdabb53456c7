"""Files and folders that are written completely or not at all."""

import contextlib
import ctypes
import errno
import glob
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, TypeAlias

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError

PathLike: TypeAlias = str | os.PathLike[str]
LEFT_OVER = 24 * 3600.0  # seconds after which a temporary name is that of a process that was killed


def write_atomically(path: PathLike, write: Callable[[IO[bytes]], Any]) -> None:
    """Call write(file) on a temporary file beside `path`, then rename it to `path`.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    path = pathlib.Path(path)
    temporary = _temporary(path)
    with errors_named(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_over(path)
        try:
            with temporary.open("xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_folder_atomically(
    folder: PathLike, write: Callable[[pathlib.Path], Any], overwrite: bool = False
) -> None:
    """Call write(temporary folder beside `folder`), then rename it to `folder`.

    An overwritten folder is exchanged for the new one in a single step if the system supports it
    (Linux), so that one of the two always exists.

    Raises:
        InputError: something is there and is not to be overwritten; an empty folder is nothing.
        OSError: it cannot be written; the error names `folder`.
    """
    folder = pathlib.Path(folder).resolve()
    if not overwrite and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; give another one")
    temporary = _temporary(folder)
    with errors_named(folder, temporary):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_over(folder)
        try:
            temporary.mkdir()
            write(temporary)
            for path in [*temporary.rglob("*"), temporary]:
                _flush(path)
            if overwrite and folder.exists():
                _exchange(temporary, folder)
            else:
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)  # holds what was overwritten


def _temporary(path: pathlib.Path) -> pathlib.Path:
    """A new name beside the path; what is made there has the permissions that the umask gives."""
    return path.parent / f".{path.name}.{secrets.token_hex(4)}"


@contextlib.contextmanager
def errors_named(path: PathLike, temporary: pathlib.Path | None = None) -> Iterator[None]:
    """Errors of writing name the path: those of TensorFlow, with no name or a temporary one."""
    try:
        yield
    except tf.errors.OpError as error:
        found = [n for n in errno.errorcode if f"; {os.strerror(n)}" in error.message]
        number = found[0] if found else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from None
    except OSError as error:
        name = str(error.filename or "")
        if error.errno is None:
            raise OSError(errno.EIO, str(error), str(path)) from None
        if not name or (temporary and name.startswith(str(temporary))):
            error.filename = str(path)
        raise


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


def check_room(folder: pathlib.Path, size: int) -> None:
    """OSError if the disk has no room for a file of so many bytes in the folder."""
    path = folder / "room"
    path.touch()
    reserve(path, size)
    path.unlink()


def reserve(path: pathlib.Path, size: int) -> None:
    """Take so many bytes of the disk for a file; OSError, which names it, if there is no room.

    A full disk would otherwise end a process that writes into a mapped file with SIGBUS.
    """
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with errors_named(path), path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def named(path: PathLike) -> pathlib.Path:
    """The path, absolute where it does not end in a name, such as `.` and `..`."""
    path = pathlib.Path(path)
    return path if path.name not in ("", "..") else path.resolve()


def digest(*arrays: Array) -> str:
    """The SHA-256 of the arrays' values in this order, to tell whether they are the same."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def read_arrays(
    path: PathLike, advice: str, names: Sequence[str] | None = None
) -> dict[str, Array]:
    """The arrays of an .npz file; InputError, ending in the advice, when it is damaged.

    Args:
        names: read these alone; None: all.
    """
    try:
        with pathlib.Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in (archive.files if names is None else names)}
    except Exception as error:  # a damaged archive can raise any type
        raise InputError(f"{path} is damaged ({error}); {advice}") from None


def write_arrays(path: PathLike, arrays: Mapping[str, Array]) -> None:
    """Write a compressed .npz atomically."""
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def write_text(path: PathLike, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: PathLike, content: Any) -> None:
    """Write indented JSON atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: PathLike) -> Any:
    """Read JSON; InputError when it is missing or damaged."""
    try:
        return json.loads(pathlib.Path(path).read_text())
    except FileNotFoundError:
        raise InputError(f"expected a file {path}, found none") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} as JSON: {error}") from None
