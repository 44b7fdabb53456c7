"""A zoo entry: a trained run's weights in half precision, and what is known of it.

`<zoo>/<data>/<model>/` holds `weights.npz` (float16), `model.json` (configuration, epochs, digest,
clean accuracy, bound) and `history.csv`. Weights are rounded before anything is computed with them:
results of an entry are of the rounded weights, whose digest it names.
"""

import pathlib
from typing import Any

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import (
    digest,
    read_arrays,
    read_json,
    write_arrays,
    write_folder_atomically,
    write_json,
    write_text,
)
from tf_deepbayes.runs.checkpoints import CHECKPOINT, CONFIG, HISTORY, TRAINED

MODEL, WEIGHTS, EPOCH = "model.json", "weights.npz", "epoch"
FORMAT = 1
RUNS = "zoo"  # the run folders of entries are in <runs>/zoo
ADVICE = "fetch the zoo again"


def is_entry(folder: pathlib.Path) -> bool:
    """Whether the folder is an entry of a zoo."""
    return (folder / MODEL).is_file()


def rounded(weights: dict[str, Array]) -> dict[str, Array]:
    """The weights in float16; InputError where one is too large for it."""
    with np.errstate(over="ignore"):
        found = {name: array.astype(np.float16) for name, array in weights.items()}
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise InputError(f"{name} has values that float16 does not hold, beyond 65,504")
    return found


def pack(run: pathlib.Path, entry: pathlib.Path, about: dict[str, Any]) -> None:
    """Make an entry of a trained run: complete or not at all.

    Args:
        about: what was measured with the rounded weights, such as clean accuracy.

    Raises:
        InputError: the run's training has not ended, or the entry exists.
    """
    if is_entry(entry):
        raise InputError(f"{entry} is an entry of the zoo already; move it away to replace it")
    arrays = read_arrays(run / CHECKPOINT, "train it again")
    weights = rounded({n: array for n, array in arrays.items() if n.startswith("weights/")})
    trained = read_json(run / TRAINED)
    content = {
        "format": FORMAT,
        "config": read_json(run / CONFIG),
        "trained": trained | {"weights": _digest(weights), "rounded": "float16"},
        "about": about,
    }

    def write(folder: pathlib.Path) -> None:
        write_arrays(folder / WEIGHTS, weights)
        (folder / HISTORY).write_bytes((run / HISTORY).read_bytes())
        write_json(folder / MODEL, content)

    write_folder_atomically(entry, write)


def read_entry(entry: pathlib.Path) -> dict[str, Any]:
    """What `model.json` says; InputError when it is no entry or of another format."""
    content = read_json(entry / MODEL)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{entry / MODEL} is not of a zoo of format {FORMAT}; {ADVICE}")
    for name in ("config", "trained", "about"):
        if not isinstance(content.get(name), dict):
            raise InputError(f"{entry / MODEL} lacks {name!r}; {ADVICE}")
    return content


def unpack(entry: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Make the run folder of an entry, unless it is there; returns it.

    The run has no optimizer state: it is attacked, evaluated and exported like any other, and
    cannot be trained further.

    Raises:
        InputError: the entry is damaged, or the folder holds another run.
    """
    content = read_entry(entry)
    expected = content["trained"].get("weights")
    if (folder / TRAINED).is_file():
        if read_json(folder / TRAINED).get("weights") != expected:
            raise InputError(f"{folder} holds another run than {entry}; move it away")
        return folder
    weights = read_arrays(entry / WEIGHTS, ADVICE)
    if _digest(weights) != expected:
        raise InputError(f"{entry / WEIGHTS} is not what {MODEL} says (another digest); {ADVICE}")
    restored = {EPOCH: np.array(content["trained"].get("epochs", 0), np.int64)}
    restored |= {name: array.astype(np.float32) for name, array in weights.items()}
    try:
        write_arrays(folder / CHECKPOINT, restored)
        write_text(folder / HISTORY, (entry / HISTORY).read_text("utf-8"))
        write_json(folder / CONFIG, content["config"])
        write_json(folder / TRAINED, content["trained"])
    except OSError as error:
        raise InputError(
            f"cannot write {folder}, the run folder of {entry} ({error.strerror}); give another "
            "--runs"
        ) from None
    return folder


def _digest(weights: dict[str, Array]) -> str:
    """The digest of the weights as a classifier has them: float32, in the order of the file."""
    return digest(*(array.astype(np.float32) for array in weights.values()))
