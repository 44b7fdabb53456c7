"""Files that are either whole or absent."""

import json
import os
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from tf_deepbayes.axes import Array
from tf_deepbayes.errors import InputError


def write_atomically(path: pathlib.Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Call write(file) on a temporary file beside `path`, then rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
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


def make_folder_atomically(folder: pathlib.Path, write: Callable[[pathlib.Path], None]) -> None:
    """Call write(temporary folder) beside `folder`, then rename it to `folder`.

    Raises:
        InputError: there is something at `folder` already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; give another one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        write(temporary)
        temporary.chmod(0o755)  # mkdtemp makes folders that only their owner can enter
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary)
        raise


def read_arrays(path: pathlib.Path, advice: str) -> dict[str, Array]:
    """All arrays of an .npz file; InputError, ending in the advice, when it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}); {advice}") from None


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
