"""The results of a folder of runs as frames: runs, attacks and detections.

A run is `<runs>/<data>/<model>[_Z<dim>][_seed<N>]`, with config.json, trained.json, history.csv and
the results in attacks, detection and evaluation. Nothing here loads a model.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_arrays, read_json
from tf_deepbayes.detection.scored_attack import REJECTED
from tf_deepbayes.runs.checkpoints import CONFIG
from tf_deepbayes.study import rows

# The paper's order; other models follow in the order of their names.
ORDER = ("BNN", "GFZ", "GBZ", "GFY", "GBY", "DFX", "DBX", "DFZ")
KINDS = {"attacks": "attack", "detection": "detection", "evaluation": "evaluation"}
ADAPTIVE = "adaptive"  # the kind of the tables in a run's own folder, see `runs.adaptive`


def in_order(model: str) -> tuple[int, str]:
    """A key that sorts models in the paper's order, a model's variants after it."""
    family = model.split("_")[0]
    return (ORDER.index(family) if family in ORDER else len(ORDER), model)


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """The classes of each attacked image before and after, in each draw of the noise.

    Attributes:
        labels, indices: `[N]`; the indices are of the test set.
        predicted: `[N, R]`.
        clean_predicted: `[N, 1 + R]`.
    """

    labels: Array
    indices: Array
    predicted: Array
    clean_predicted: Array

    @property
    def right(self) -> Array:
        """Share of the draws in which each attacked image is right, `[N]`."""
        return (self.predicted == self.labels[:, None]).mean(1)

    @property
    def clean_right(self) -> Array:
        """The same before the attack, over the draws that a score uses as well."""
        return (self.clean_predicted == self.labels[:, None]).mean(1)

    def of_images(self, values: Array) -> dict[int, float]:
        """The mean of the values `[N]` of each image, by its index in ascending order.

        A targeted attack has a row for each wrong class of an image.
        """
        images, rows, counts = np.unique(self.indices, return_inverse=True, return_counts=True)
        means = np.bincount(rows, values) / counts
        return dict(zip(images.tolist(), means.tolist(), strict=True))


@dataclasses.dataclass(frozen=True)
class Detected:
    """What a guard makes of each attacked image.

    Attributes:
        labels, predicted: the true class and the victim's, `[N]`.
        guard_predicted: the guard's class `[N]`; None when it is the victim.
        rejected: whether each detector rejects it, `[N]`.
    """

    labels: Array
    predicted: Array
    guard_predicted: Array | None
    rejected: Mapping[str, Array]

    @property
    def fooled(self) -> Array:
        """Whether the victim is wrong, `[N]`."""
        return self.predicted != self.labels

    @property
    def guard_right(self) -> Array:
        """Whether the guard is right, `[N]`."""
        assert self.guard_predicted is not None
        return self.guard_predicted == self.labels


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """The results of a folder of runs.

    Attributes:
        root: the folder; paths in the frames are relative to it.
        runs: one run a row.
        attacks: one attack at one size a row.
        detections: one detector, with the paper's kind of thresholds, on one attack a row.
    """

    root: pathlib.Path
    runs: pd.DataFrame
    attacks: pd.DataFrame
    detections: pd.DataFrame

    @classmethod
    def read(cls, *folders: pathlib.Path, data: Sequence[str] | None = None) -> "Study":
        """Every result below the folders, of which each data set should be in one.

        Args:
            data: only these data sets.

        Raises:
            InputError: there is no run, or a result is damaged.
        """
        runs, attacks, detections = [], [], []
        root = pathlib.Path(os.path.commonpath(folders))
        for path in sorted(path for one in folders for path in one.glob(f"*/*/{CONFIG}")):
            if data is None or path.parts[-3] in data:
                folder = path.parent
                run = rows.run_row(root, folder)
                runs.append(run)
                attacks += [rows.attack_row(root, run, p) for p in result_files(folder, "attacks")]
                for found in result_files(folder, "detection"):
                    detections += rows.detection_rows(root, run, found)
        if not runs:
            what = f" of {', '.join(data)}" if data else ""
            where = ", ".join(map(str, folders))
            raise InputError(f"no runs{what} in {where}: expected <data>/<model>/{CONFIG} in it")
        return cls(
            root,
            pd.DataFrame(runs, columns=list(rows.RUN)),
            pd.DataFrame(attacks, columns=list(rows.ATTACK)),
            pd.DataFrame(detections, columns=list(rows.DETECTION)),
        )

    def evaluations(self) -> Iterator[tuple[Any, pathlib.Path, dict[str, Any], dict[str, Any]]]:
        """(run, its evaluation's file, the settings and the figures in it), run by run."""
        for run in self.runs.itertuples():
            for path in result_files(self.root / str(run.folder), "evaluation"):
                with rows.whole(path):
                    content = read_json(path)
                    settings, figures = dict(content["settings"]), dict(content["figures"])
                yield run, path, settings, figures

    @functools.cache  # noqa: B019 (a study lives as long as its report)
    def outcomes(self, path: str) -> Outcomes | None:
        """The outcomes next to an attack's JSON; None when they were not kept."""
        return read_outcomes((self.root / path).with_suffix(".npz"))

    @functools.cache  # noqa: B019 (a study lives as long as its report)
    def detected(self, path: str) -> Detected | None:
        """The outcomes next to a detection's JSON; None when they were not kept."""
        return read_detected((self.root / path).with_suffix(".npz"))

    def num_detected(self, path: str, is_chosen: bool, attacked: int) -> int:
        """How many images a detection is of, of those attacked.

        Args:
            is_chosen: whether it left some out. Where its outcomes were not kept, how many it used
                is not known, and counts as none.
        """
        if not is_chosen:
            return attacked
        found = self.detected(path)
        return 0 if found is None else len(found.labels)


def read_outcomes(path: pathlib.Path) -> Outcomes | None:
    """The outcomes in an .npz; None without them, or without what pairs the images."""
    if not path.is_file():
        return None
    arrays = read_arrays(path, "run the attack again")
    names = [field.name for field in dataclasses.fields(Outcomes)]
    if not set(names) <= set(arrays):
        return None
    found = Outcomes(*(arrays[name] for name in names))
    given = [arrays[name] for name in names]
    fit = [array.ndim for array in given] == [1, 1, 2, 2] and found.predicted.size
    if not fit or any(a.dtype.kind not in "iu" or len(a) != len(found.labels) for a in given):
        raise InputError(f"{path} is damaged: its arrays do not fit together; run the attack again")
    return found


def read_detected(path: pathlib.Path) -> Detected | None:
    """The outcomes of a detection in an .npz; None without them."""
    if not path.is_file():
        return None
    arrays = read_arrays(path, "detect again")
    if not {"labels", "predicted"} <= set(arrays):
        return None
    rejected = {
        name.removeprefix(REJECTED): array
        for name, array in arrays.items()
        if name.startswith(REJECTED) and not name.startswith(f"{REJECTED}clean_")
    }
    found = Detected(arrays["labels"], arrays["predicted"], arrays.get("guard_predicted"), rejected)
    given = [found.labels, found.predicted, *rejected.values()]
    given += [] if found.guard_predicted is None else [found.guard_predicted]
    shapes = {array.shape for array in given}
    if len(shapes) > 1 or found.labels.ndim != 1 or any(a.dtype.kind not in "iub" for a in given):
        raise InputError(f"{path} is damaged: its arrays do not fit together; detect again")
    return found


def result_files(folder: pathlib.Path, kind: str) -> list[pathlib.Path]:
    """The results in a run's folder `attacks`, `detection` or `evaluation`."""
    return _of_kind(folder / kind, KINDS[kind], "*.json")


def adaptive_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The tables of the attacks on fusion models, of each way in which the run was sampled."""
    return _of_kind(folder, ADAPTIVE, f"{ADAPTIVE}*.json")


def _of_kind(folder: pathlib.Path, kind: str, pattern: str) -> list[pathlib.Path]:
    found = [p for p in sorted(folder.glob(pattern)) if not p.name.startswith(".")]
    contents = [(path, read_json(path)) for path in found]
    return [p for p, c in contents if isinstance(c, dict) and c.get("kind") == kind]
