"""Finished batches of an attack on disk, so that an interrupted attack can continue."""

import json
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_deepbayes.attacks.base import AttackedBatch
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError, StoppedError
from tf_deepbayes.core.files import digest, read_arrays, read_json, write_atomically, write_json
from tf_deepbayes.evaluation.identity import differing

SETTINGS = "settings.json"


class AttackStoppedError(StoppedError):
    """The attack cannot continue; batches finished before are kept."""


class BatchStore:
    """A folder with one file per finished batch of one attack.

    Args:
        folder: created when the first batch is finished.
        settings: what the batches depend on; batches on disk must have the same settings.
        resume: reuse the batches on disk.
        overwrite: delete them instead, where `resume` is not given.
        merge: all batches have to be on disk, from the parts of a divided attack.
        by_images: batches of other images under the same number stand side by side.

    Raises:
        InputError: there are batches but not `resume`, or they have different settings.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        settings: Mapping[str, Any],
        resume: bool,
        overwrite: bool = False,
        merge: bool = False,
        by_images: bool = False,
    ) -> None:
        self.folder, self.settings, self.merge = folder, dict(settings), merge
        self.by_images = by_images
        resume = resume or merge
        if overwrite and not resume:
            self.remove()
        if not (folder / SETTINGS).is_file():
            return
        if not resume:
            raise InputError(
                f"{folder} holds {self._count()} of an attack that was stopped; pass --resume to "
                "continue it, or delete the folder to start again"
            )
        found = read_json(folder / SETTINGS)
        if others := differing(found, self.settings):
            raise InputError(
                f"{folder} cannot be resumed: {'; '.join(others)}; repeat the settings, or delete "
                "the folder"
            )

    def __len__(self) -> int:
        return len(list(self.folder.glob("batch_*.npz")))

    def _key(self, x: Array) -> str:
        """A digest of the images and the settings: a batch of others is never used."""
        settings = json.dumps(self.settings, sort_keys=True, default=str)
        return digest(x, np.frombuffer(settings.encode(), np.uint8))

    def get(self, index: int, x: Array) -> tuple[AttackedBatch, float] | None:
        """The batch finished on these images with these settings, and its seconds; None if none."""
        path = self._path(index, x)
        if not path.is_file():
            return None
        arrays = read_arrays(path, "delete it and resume")
        if not {"adversarial", "digest"} <= set(arrays) or str(arrays["digest"]) != self._key(x):
            return None
        batch = AttackedBatch(arrays["adversarial"], arrays.get("steps"))
        return batch, float(arrays.get("seconds", 0.0))

    def check_complete(self, batches: Sequence[Array]) -> None:
        """InputError, in a merge, unless all these batches are on disk; it names the others."""
        if not self.merge:
            return
        numbers = range(len(batches))
        if missing := [i for i in numbers if not self._path(i).is_file()]:
            raise InputError(
                f"{self.folder} lacks {_numbered(missing)} of {len(batches)}; run the missing "
                "parts, then merge again"
            )
        if foreign := [i for i in numbers if self.get(i, batches[i]) is None]:
            raise InputError(
                f"{self.folder}: {_numbered(foreign)} of {len(batches)} attack other images; "
                "delete the folder and run all parts with the same flags"
            )

    def put(self, index: int, x: Array, batch: AttackedBatch, seconds: float = 0.0) -> None:
        """Save a finished batch.

        Raises:
            OSError: it cannot be written; a note says what is kept and what to do.
        """
        try:
            if not (self.folder / SETTINGS).is_file():
                write_json(self.folder / SETTINGS, self.settings)
            arrays: dict[str, Any] = {"adversarial": batch.images, "digest": self._key(x)}
            arrays |= {"seconds": seconds} | ({} if batch.steps is None else {"steps": batch.steps})
            write_atomically(self._path(index, x), lambda file: np.savez(file, **arrays))
        except OSError as error:
            error.add_note(self.advice())
            raise

    def kept(self) -> str:
        """What the last line says about the batches on disk."""
        return f"{self._count()} {'is' if len(self) == 1 else 'are'} kept in {self.folder}"

    def advice(self) -> str:
        """What is kept, and what to do once the attack cannot continue."""
        return f"{self.kept()}: fix the cause and run the same command with --resume"

    def remove(self) -> None:
        """Delete the folder, once the whole result is on disk."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _count(self) -> str:
        return f"{len(self)} finished {'batch' if len(self) == 1 else 'batches'}"

    def _path(self, index: int, x: Array | None = None) -> pathlib.Path:
        images = f"_{self._key(x)[:12]}" if self.by_images and x is not None else ""
        return self.folder / f"batch_{index:05d}{images}.npz"


def _numbered(numbers: Sequence[int]) -> str:
    return f"batch{'es' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
