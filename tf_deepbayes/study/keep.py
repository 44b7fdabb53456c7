"""A study's results as small files: what the report reads, without images, logits and curves."""

import pathlib
from collections.abc import Mapping

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_arrays, read_json, write_arrays, write_json, write_text
from tf_deepbayes.detection.roc import Roc
from tf_deepbayes.runs.checkpoints import CHECKPOINT, CONFIG, TRAINED
from tf_deepbayes.study.results import KINDS, Study, adaptive_files, result_files

KEPT = (CONFIG, TRAINED, "history.csv")
OUTCOMES = ("labels", "indices", "predicted", "clean_predicted")
AGAIN = {"attacks": "run the attack again", "detection": "detect again"}
SMALL = 256  # classes that fit into a byte
CURVE = 40  # points of a ROC curve


def keep(study: Study, folder: pathlib.Path) -> int:
    """Copy every result into `<folder>/<data>/<model>`; the number of results.

    Next to attacks and detections stay the outcomes of each image alone, classes as bytes: enough
    for the same report.

    Raises:
        InputError: the folder holds runs of the study, two runs would be kept in one place, or an
            array is damaged.
    """
    count = 0
    for source, target in _places(study, folder).items():
        for name in KEPT:
            if (source / name).is_file():
                write_text(target / name, (source / name).read_text("utf-8"))
        for kind in KINDS:
            for path in result_files(source, kind):
                _keep_json(path, target / kind / path.name)
                count += 1
                arrays = path.with_suffix(".npz")
                if arrays.is_file() and kind in _KEEP:
                    _KEEP[kind](arrays, target / kind / arrays.name)
        for path in adaptive_files(source):
            _keep_json(path, target / path.name)
            count += 1
    return count


def _places(study: Study, folder: pathlib.Path) -> dict[pathlib.Path, pathlib.Path]:
    """{run: its copy}. Runs of several folders are kept in one, as the report reads it."""
    runs = [study.root / run for run in study.runs.folder]
    found = {run: folder.joinpath(*run.parts[-2:]) for run in runs}
    for run, target in found.items():
        if target.resolve() == run.resolve():
            raise InputError(f"{folder} holds the runs themselves; give another to keep them in")
        if (target / CHECKPOINT).exists():
            raise InputError(f"{target} is a run and not a copy of results; give another folder")
    if twice := [run for run, target in found.items() if list(found.values()).count(target) > 1]:
        told = " and ".join(map(str, twice))
        raise InputError(f"{told} would be kept in one folder; keep them one after the other")
    return found


def _keep_json(source: pathlib.Path, target: pathlib.Path) -> None:
    """A copy with few points of the ROC curves and without absolute paths.

    Whole curves are nine tenths of a detection's result, and those of all images are not drawn.

    A study may be published from a repository, where the folders of a machine mean nothing.
    """
    content = read_json(source)
    if content["kind"] == KINDS["detection"]:
        for row in content["figures"]:
            if curve := (row.pop("roc", None) or {}).get("successful"):
                row["roc"] = {"successful": _thinned(curve)}
    command = content.get("provenance", {}).get("command", [])
    command[:] = [
        pathlib.PurePath(w).name if pathlib.PurePath(w).is_absolute() else w for w in command
    ]
    write_json(target, content)


def _thinned(curve: dict[str, list[float]]) -> dict[str, list[float]]:
    names = ("false_positive_rate", "detection_rate")
    thin = Roc(*(np.asarray(curve[name]) for name in names)).thinned(CURVE)
    rates = (thin.false_positive_rate, thin.detection_rate)
    return {name: rate.round(4).tolist() for name, rate in zip(names, rates, strict=True)}


def _keep_outcomes(source: pathlib.Path, target: pathlib.Path) -> None:
    """The classes of each image in each draw."""
    arrays = read_arrays(source, AGAIN["attacks"])
    if set(OUTCOMES) <= set(arrays):
        _write_small(target, {name: arrays[name] for name in OUTCOMES}, source, AGAIN["attacks"])


def _keep_detected(source: pathlib.Path, target: pathlib.Path) -> None:
    """What the guard makes of the attacked images; of clean ones the JSON has the rates."""
    arrays = read_arrays(source, AGAIN["detection"])
    kept = {name: array for name, array in arrays.items() if "clean_" not in name}
    _write_small(target, kept, source, AGAIN["detection"])


def _write_small(
    target: pathlib.Path, arrays: Mapping[str, Array], source: pathlib.Path, again: str
) -> None:
    """Write classes, indices and answers in as few bytes as hold them."""
    found = {}
    for name, array in arrays.items():
        if array.min(initial=0) < 0:
            raise InputError(f"{source} is damaged: {name} below 0; {again}")
        small = np.uint8 if array.max(initial=0) < SMALL else np.uint32
        found[name] = array if array.dtype == bool else array.astype(small)
    write_arrays(target, found)


_KEEP = {"attacks": _keep_outcomes, "detection": _keep_detected}
