"""A study's results as small files: what the report reads, without images, logits and curves."""

import pathlib

import numpy as np

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_arrays, read_json, write_arrays, write_json, write_text
from tf_deepbayes.detection.roc import Roc
from tf_deepbayes.runs.checkpoints import CHECKPOINT, CONFIG, TRAINED
from tf_deepbayes.study.results import KINDS, Study, adaptive_files, result_files

KEPT = (CONFIG, TRAINED, "history.csv")
OUTCOMES = ("labels", "indices", "predicted", "clean_predicted")
SMALL = 256  # classes that fit into a byte
CURVE = 40  # points of a ROC curve


def keep(study: Study, folder: pathlib.Path) -> int:
    """Copy every result into the folder in the same layout; the number of results.

    Next to an attack stay its outcomes alone, classes as bytes: enough for the same report.

    Raises:
        InputError: the folder is the study's own, or an array is damaged.
    """
    if folder.resolve() == study.root.resolve():
        raise InputError(f"{folder} holds the runs themselves; give another folder to keep them in")
    count = 0
    for run in study.runs.folder:
        source, target = study.root / run, folder / run
        for name in KEPT:
            if (source / name).is_file():
                write_text(target / name, (source / name).read_text("utf-8"))
        if (target / CHECKPOINT).exists():
            raise InputError(f"{target} is a run and not a copy of results; give another folder")
        for kind in KINDS:
            for path in result_files(source, kind):
                _keep_json(path, target / kind / path.name)
                count += 1
                if kind == "attacks" and path.with_suffix(".npz").is_file():
                    _keep_outcomes(path.with_suffix(".npz"), target / kind / f"{path.stem}.npz")
        for path in adaptive_files(source):
            _keep_json(path, target / path.name)
            count += 1
    return count


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
    arrays = read_arrays(source, "run the attack again")
    if not set(OUTCOMES) <= set(arrays):
        return
    found = {name: arrays[name] for name in OUTCOMES}
    for name in OUTCOMES:
        if found[name].min(initial=0) < 0:
            raise InputError(f"{source} is damaged: {name} below 0; run the attack again")
        kind = np.uint8 if found[name].max(initial=0) < SMALL else np.uint32
        found[name] = found[name].astype(kind)
    write_arrays(target, found)
