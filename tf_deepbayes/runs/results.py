"""One JSON per result, with all that is needed to reproduce it; images in an .npz next to it."""

import os
import pathlib
import platform
import sys
from collections.abc import Mapping
from typing import Any

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_json, write_json
from tf_deepbayes.evaluation.identity import differing
from tf_deepbayes.runs.checkpoints import RunConfig, versions


def provenance() -> dict[str, Any]:
    """The command, library versions and machine that produced a result."""
    return {
        "command": [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": versions(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }


def write_result(
    path: pathlib.Path, kind: str, config: RunConfig, settings: Mapping[str, Any], figures: Any
) -> None:
    """Write a result's JSON: kind, model, data, settings, figures, provenance."""
    content = {
        "kind": kind,
        "model": config.model,
        "data": config.data,
        "settings": dict(settings),
        "figures": figures,
        "provenance": provenance(),
    }
    write_json(path, content)


def read_result(path: pathlib.Path, kind: str) -> dict[str, Any]:
    """A result's JSON; InputError when it is missing or of another kind."""
    content = read_json(path)
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise InputError(f"{path} is not the result of kind {kind!r} that was expected")
    return content


def on_disk(path: pathlib.Path, kind: str, settings: Mapping[str, Any], overwrite: bool) -> Any:
    """The figures of the result on disk; None when there is none, or it is to be overwritten.

    Args:
        settings: everything that the figures depend on.
        overwrite: a result of other settings counts as none.

    Raises:
        InputError: it has other settings; the message says which, and what is there.
    """
    if not path.is_file():
        return None
    content = read_result(path, kind)
    found = content.get("settings")
    others = differing(found if isinstance(found, dict) else {}, settings)
    if others and not overwrite:
        raise InputError(
            f"{path} holds a result with other settings: {'; '.join(others)}; repeat the "
            "settings, pass --overwrite to replace it, or write under another name"
        )
    return None if others else content.get("figures")
