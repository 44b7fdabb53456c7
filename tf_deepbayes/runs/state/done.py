"""A small file, written last, that names the results of a command and their digests.

A workflow engine deletes a failed job's outputs, so results themselves are never outputs: this file
is, and the command finds on disk what it finished before.
"""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest, read_json, write_json

KIND = "done"


def file_digest(path: pathlib.Path) -> str:
    """A digest of a file's bytes."""
    return digest(np.frombuffer(path.read_bytes(), np.uint8))


def write_done(path: pathlib.Path, results: Sequence[pathlib.Path]) -> None:
    """Name the results, relative to the file's folder."""
    found = {os.path.relpath(one, path.parent): file_digest(one) for one in results}
    write_json(path, {"kind": KIND, "results": found})


def read_done(path: pathlib.Path) -> list[pathlib.Path]:
    """The results that it names.

    Raises:
        InputError: it is no such file, or a result is missing or has changed since.
    """
    content = read_json(path)
    named = content.get("results") if isinstance(content, dict) else None
    if not isinstance(named, dict) or content.get("kind") != KIND:
        raise InputError(f"{path} names no results; give the file of --done of another command")
    results = {path.parent / name: value for name, value in named.items()}
    for result, value in results.items():
        if not result.is_file() or file_digest(result) != value:
            raise InputError(
                f"{result} is not the result that {path} names; run the command with --done again"
            )
    return [pathlib.Path(os.path.normpath(result)) for result in results]


def only_result(path: pathlib.Path) -> pathlib.Path:
    """The one result that it names; any other file as it is."""
    if not path.is_file() or path.suffix != ".json":
        return path
    content = read_json(path)
    if not isinstance(content, dict) or content.get("kind") != KIND:
        return path
    results = read_done(path)
    if len(results) != 1:
        raise InputError(f"{path} names {len(results)} results, expected one; give one of them")
    return results[0]
