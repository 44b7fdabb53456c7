"""Whether a run's training has ended: `trained.json` is written last, removed before it goes on."""

import contextlib
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_arrays, read_json, write_atomically, write_json
from tf_deepbayes.models.fusion.extractor import copy_stored
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.checkpoints import TRAINED, RunConfig
from tf_deepbayes.runs.state.identity import weights_digest
from tf_deepbayes.runs.state.lock import locked
from tf_deepbayes.runs.zoo.entries import is_entry, unpack

LOCK = ".lock"
ROUNDED = "rounded"  # in `trained.json`: the precision of weights from a zoo
# What earlier versions, which did not record it, trained with.
EARLIER = {"kl_warm_up": 0}


@contextlib.contextmanager
def training(
    folder: pathlib.Path,
    config: RunConfig,
    epochs: int,
    resume: bool,
    changeable: Sequence[str] = (),
) -> Iterator[bool]:
    """Train in the block, which no other process can do at the same time.

    `trained.json` is absent from the beginning of the block until it has ended well.

    Args:
        epochs: how many the checkpoint has to hold in the end.
        resume: see `prepare_folder`.
        changeable: see `prepare_folder`.

    Yields:
        Whether there is anything to train; if not, the folder stays as it is.

    Raises:
        InputError: another process trains in the folder, or it is not to be resumed.
    """
    with locked(folder / LOCK, f"the run {folder}"):
        over = resume and epochs_done(folder) >= epochs
        if over:
            check_resumable(folder, config, changeable)
        else:
            prepare_folder(folder, config, resume, changeable)
            (folder / TRAINED).unlink(missing_ok=True)
        yield not over
        if not (folder / TRAINED).is_file():
            _write(folder)


def _write(folder: pathlib.Path) -> None:
    model, config = checkpoints.load_model(folder)
    done = epochs_done(folder)
    content = {
        "epochs": done,
        "epochs_asked": config.training.get("epochs", done),
        "weights": weights_digest(model),
        "seed": config.seed,
        "settings": config.training,
    }
    write_json(folder / TRAINED, content)


def prepare_folder(
    folder: pathlib.Path, config: RunConfig, resume: bool, changeable: Sequence[str] = ()
) -> None:
    """Make a new run folder, or check that the one to resume has the same settings.

    Args:
        changeable: settings that a resumed run may change.

    Raises:
        InputError: the folder holds a run without `resume`, or one with different settings.
    """
    if not pathlib.Path(folder, checkpoints.CONFIG).exists():
        return checkpoints.save_config(folder, config)
    if not resume:
        raise InputError(f"{folder} holds a run; pass --resume to continue it or another --out")
    check_resumable(folder, config, changeable)
    if (folder / TRAINED).is_file() and ROUNDED in read_json(folder / TRAINED):
        raise InputError(
            f"{folder} is of the zoo, which holds no optimizer state: it cannot be resumed; train "
            "a new run with another --out"
        )
    return checkpoints.save_config(folder, config)


def check_resumable(
    folder: pathlib.Path, config: RunConfig, changeable: Sequence[str] = ()
) -> None:
    """InputError unless the run in the folder has these settings; `prepare_folder` says more.

    A setting that an earlier version did not record is not compared, unless it is in `EARLIER`.
    """
    found, wanted = EARLIER | checkpoints.load_config(folder).settings(), config.settings()
    if checkpoints.IMPORTED in found:
        raise InputError(
            f"{folder} was imported from a published checkpoint, which holds no optimizer state: "
            "it cannot be resumed; train a new run with another --out"
        )
    differences = [
        f"{name} is {found.get(name)} in the run and {value} in the flags"
        for name, value in wanted.items()
        if name in found and found[name] != value and name not in changeable
    ]
    if differences:
        raise InputError(
            f"{folder} cannot be resumed: {'; '.join(differences)}; repeat the flags of the run, "
            "or pass another --out"
        )


def copy_run(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Copy a run that is to be trained further, unless the folder holds one already.

    Args:
        source: a run folder, or an entry of the zoo, which has to have all its epochs.

    Raises:
        InputError: there is no such run, or a process trains it.
    """
    if (folder / checkpoints.CONFIG).is_file():
        return
    if is_entry(source):
        unpack(source, folder)
        return
    checkpoints.load_config(source)
    with locked(source / LOCK, f"the run {source}"):
        copy_stored(source, folder)
        for name in (checkpoints.CHECKPOINT, checkpoints.HISTORY, checkpoints.CONFIG):
            if (source / name).is_file():
                content = (source / name).read_bytes()
                write_atomically(folder / name, functools.partial(_put, content))


def _put(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def epochs_done(folder: pathlib.Path) -> int:
    """The epochs of training that the checkpoint holds; 0 when there is none."""
    path = folder / checkpoints.CHECKPOINT
    if not path.is_file():
        return 0
    found = read_arrays(path, "restore it or train again", ["epoch"])["epoch"]
    if found.dtype.kind != "i" or found.ndim:
        raise InputError(f"{path} is not a checkpoint: expected a whole number 'epoch' in it")
    return int(found)


def unfinished(folder: pathlib.Path, training: Mapping[str, Any]) -> str | None:
    """What is missing of a run's training, in words; None when it has ended.

    Runs without `trained.json` are judged by the epochs in their checkpoint.

    Args:
        training: the settings of its training; without `epochs` it was not trained here.
    """
    asked = training.get("epochs")
    if not isinstance(asked, int) or training.get("kind") == "jacobian":
        return None
    if (folder / TRAINED).is_file():
        found = read_json(folder / TRAINED)
        done, asked = (found.get(name, asked) for name in ("epochs", "epochs_asked"))
    else:
        done = epochs_done(folder)
    return None if done >= asked else f"{done} of {asked} epochs are done"
