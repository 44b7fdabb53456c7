"""A result's JSON as a row of a frame."""

import contextlib
import json
import math
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_json
from tf_deepbayes.core.metrics import confidence_interval
from tf_deepbayes.data.datasets import TASKS
from tf_deepbayes.evaluation.identity import default_settings, read_call
from tf_deepbayes.evaluation.result_names import parts_of
from tf_deepbayes.inference.noise import INDEPENDENT
from tf_deepbayes.runs import results
from tf_deepbayes.runs.checkpoints import CONFIG, TRAINED
from tf_deepbayes.runs.detector_files import PUBLISHED, FitSettings
from tf_deepbayes.training.journal import read_history
from tf_deepbayes.training.settings import TrainingSettings

NOT_RECORDED = "not recorded"
ROUNDING = 1e-9  # by which a share may lie outside [0, 1]
WHITE_BOX, GREY_BOX, BLACK_BOX = "white box", "grey box", "black box"
# Threats as published: the kind of substitute, the detector that an adaptive attack evades.
SUBSTITUTES = {"distilled": GREY_BOX, "jacobian": BLACK_BOX}
EVADED = {"marginal": "WB+S+M", "logit": "WB+S+L", "kl": "WB+S+K"}
ADAPTIVE = (*("matching", "feature_matching", "head_logit", "imitate_head", "imitate_features"),)
THREATS = {"spsa": "score based", **dict.fromkeys(ADAPTIVE, "adaptive")}
# Settings of an attack that only divide the work, or that the table says in another way.
UNSAID = (
    *("name", "batch_size", "seed", "lazy_classes", "early_stop", "check_every"),
    *("detector", "guides", "targets", "learning_rate"),
)
RUN = (
    *("data", "model", "family", "dim_z", "seed", "epochs", "asked", "weights", "folder"),
    *("seconds", "bound", "val_accuracy", "version", "warm_up"),
)
ATTACK = (
    *("data", "model", "family", "dim_z", "seed", "epochs", "asked", "threat", "attack", "kind"),
    *("size", "eps", "detector", "weight", "steps", "learning_rate", "K", "noise", "draws", "n"),
    *("images", "indices", "weights", "settings"),
    *("stale", "accuracy", "low", "high", "clean_accuracy", "clean_changes", "zero_gradients"),
    *("l2", "substitute_accuracy", "seconds", "version", "name", "path"),
)
DETECTION = (
    *("data", "model", "seed", "epochs", "asked", "name", "guard", "detector", "num_train"),
    *("rate", "low", "high", "class_mean", "false_positives", "undetected", "successful"),
    *("wrong_rows", "transfer_successful", "auroc", "roc", "path", "is_chosen", "fitted_on"),
    "sampled",
)


def number(value: Any) -> float | None:
    """A finite number or None; ValueError for anything else."""
    if value is not None and not math.isfinite(float(value)):
        raise ValueError(f"expected a finite number, got {value!r}")
    return None if value is None else float(value)


def share(value: Any) -> float:
    """A share in [0, 1], without what rounding put outside."""
    if not -ROUNDING <= float(value) <= 1.0 + ROUNDING:
        raise ValueError(f"expected a share in [0, 1], got {value!r}")
    return min(max(float(value), 0.0), 1.0)


def positive(value: Any) -> float:
    """A size, at least 0."""
    if not 0.0 <= float(value) < math.inf:
        raise ValueError(f"expected a size of at least 0, got {value!r}")
    return float(value)


def text(value: Any) -> str | None:
    """A text or None."""
    return None if value is None else str(value)


def noise_of(settings: Mapping[str, Any]) -> str:
    """How the classifier's z were drawn; results of the published draws do not record it."""
    return str(settings.get("noise") or INDEPENDENT)


@contextlib.contextmanager
def whole(path: pathlib.Path) -> Iterator[None]:
    """Read a result; InputError when something in it is not what the apps write."""
    try:
        yield
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError) as error:
        raise InputError(f"the result {path} is damaged ({error!r}); run it again") from None


def run_row(root: pathlib.Path, folder: pathlib.Path) -> dict[str, Any]:
    """A run's row: what was trained, for how many of the published epochs, how good it was."""
    config, history = read_json(folder / CONFIG), read_history(folder)
    trained = read_json(folder / TRAINED) if (folder / TRAINED).is_file() else {}
    with whole(folder / CONFIG):
        asked = trained.get("epochs_asked", config["training"].get("epochs"))
        if asked and folder.parent.name in TASKS:
            asked = max(asked, TrainingSettings.for_data(folder.parent.name).epochs)
        seen = [float(row["val_accuracy"]) for row in history if row.get("val_accuracy")]
        return {
            "data": folder.parent.name,
            "model": re.sub(r"_seed\d+$", "", folder.name),
            "family": str(config["model"]),
            "dim_z": int(config["architecture"]["dim_z"]),
            "seed": int(config["seed"]),
            "epochs": int(trained.get("epochs", len(history))),
            "asked": int(asked) if asked else None,
            "weights": text(trained.get("weights")),
            "folder": str(folder.relative_to(root)),
            "seconds": sum(float(row["seconds"]) for row in history),
            "bound": float(history[-1]["bound"]) if history and "bound" in history[-1] else None,
            "val_accuracy": seen[-1] if seen else None,
            "version": str(config.get("versions", {}).get("tf_deepbayes", NOT_RECORDED)),
            "warm_up": int(config["training"].get("kl_warm_up") or 0),
        }


def attack_row(root: pathlib.Path, run: Mapping[str, Any], path: pathlib.Path) -> dict[str, Any]:
    """An attack's row; its epochs are unknown when its weights are not those of `trained.json`."""
    content = results.read_result(path, "attack")
    with whole(path):
        settings, figures = content["settings"], content["figures"]
        attack = settings.get("attack", {})
        attack = (read_call(attack) or {}) if isinstance(attack, str) else attack
        name = str(attack.get("name", path.stem.split("_")[0]))
        weights = settings.get("weights")
        accuracy, count = share(figures["accuracy"]), int(figures["num_images"])
        interval = confidence_interval(accuracy, count) or (0.0, 1.0)
        stale = bool(weights and run["weights"] and weights != run["weights"])
        size = positive(settings["eps"])
        return {
            **{n: run[n] for n in ("data", "model", "family", "dim_z", "seed", "asked")},
            "threat": threat_of(settings, attack),
            "attack": name,
            "detector": (attack.get("detector") or {}).get("name"),
            "weight": number(attack.get("detection_lambda")) if attack.get("detector") else None,
            "kind": kind_of(attack, settings),
            "size": size,
            "eps": f"{size:g}",
            "steps": number(attack.get("nb_iter")),
            "learning_rate": number(attack.get("learning_rate")),
            "K": int(settings["num_samples"]),
            "noise": noise_of(settings),
            "draws": number(settings.get("eval_draws", figures.get("draws"))),
            "n": count,
            "images": str(settings.get("data") or NOT_RECORDED),
            "indices": str(settings.get("indices") or NOT_RECORDED),
            "weights": str(weights or NOT_RECORDED),
            "settings": json.dumps({**settings, "attack": attack}, sort_keys=True),
            "epochs": None if stale else run["epochs"],
            "stale": stale,
            "accuracy": accuracy,
            "low": interval[0],
            "high": interval[1],
            "clean_accuracy": share(figures["clean_accuracy"]),
            "clean_changes": number(figures.get("clean_prediction_changes")),
            "zero_gradients": number(figures.get("zero_gradients")),
            "l2": number(
                figures.get("perturbation_of_misclassified", {}).get("l2", {}).get("mean")
            ),
            "substitute_accuracy": number(figures.get("substitute_accuracy")),
            "seconds": float(figures.get("seconds", 0.0)),
            "version": str(settings.get("version", NOT_RECORDED)),
            "name": path.stem,
            "path": str(path.relative_to(root)),
        }


def threat_of(settings: Mapping[str, Any], attack: Mapping[str, Any]) -> str:
    """What the attacker knows, in the words of the published tables."""
    if substitute := settings.get("substitute"):
        name = pathlib.PurePath(str(substitute)).name
        kinds = [threat for kind, threat in SUBSTITUTES.items() if kind in name]
        return kinds[0] if kinds else f"transfer from {name}"
    if attack.get("name") == "superwhite":
        evaded = (attack.get("detector") or {}).get("name")
        return EVADED.get(evaded, f"WB+S+{evaded}") if evaded else "WB+S"
    return THREATS.get(str(attack.get("name")), WHITE_BOX)


def kind_of(attack: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The settings that are not the published ones, as words; empty when all are.

    Settings that only divide the work are left out, and those that have a column of their own.
    """
    defaults = default_settings(str(attack.get("name")))
    said = {n: v for n, v in attack.items() if n not in UNSAID and n in defaults}
    simple = {n: v for n, v in said.items() if isinstance(v, bool | int | float | str)}
    names = ("attack_samples", "common_random_numbers", "label_only")
    access = {name: settings[name] for name in names if settings.get(name)}
    return ", ".join(parts_of(simple, defaults) + parts_of(access, {}))


def detection_rows(
    root: pathlib.Path, run: Mapping[str, Any], path: pathlib.Path
) -> list[dict[str, Any]]:
    """A row for each detector of a detection; none where the thresholds are not the paper's."""
    content = results.read_result(path, "detection")
    with whole(path):
        settings = content["settings"]
        fitted = settings.get("fitted") or {}
        if fitted and FitSettings(**fitted).kind != PUBLISHED:
            return []
        guard = re.search(r"_guard_(.+)$", path.stem)
        shared = {
            **{n: run[n] for n in ("data", "model", "seed", "epochs", "asked")},
            "name": str(settings.get("attack", path.stem)),
            "guard": guard[1] if guard else None,
            "num_train": str(settings.get("num_train", NOT_RECORDED)),
            "path": str(path.relative_to(root)),
            "is_chosen": bool(settings.get("indices")),
            "fitted_on": text(fitted.get("weights")),
            "sampled": f"K {settings.get('num_samples')}, {noise_of(settings)} noise",
        }
        return [shared | _detector(figures) for figures in content["figures"]]


def _detector(figures: Mapping[str, Any]) -> dict[str, Any]:
    interval = figures.get("detection_rate_interval") or (None, None)
    transferred = figures.get("transferred") or {}
    return {
        "detector": str(figures["detector"]),
        "rate": number(figures["detection_rate"]),
        "low": number(interval[0]),
        "high": number(interval[1]),
        "class_mean": number(figures.get("detection_rate_class_mean")),
        "false_positives": number(figures.get("false_positive_rate")),
        "undetected": share(figures["misclassified_undetected"]),
        "successful": number(figures.get("successful_attacks")),
        "wrong_rows": number(figures.get("published_kl_rate_wrong_rows")),
        "transfer_successful": number(transferred.get("successful_attacks")),
        "auroc": number((figures.get("auroc") or {}).get("successful")),
        "roc": _curve((figures.get("roc") or {}).get("successful")),
    }


def _curve(points: Mapping[str, Any] | None) -> dict[str, list[float]] | None:
    """The points of a ROC curve; None where there were no successful attacks or none are kept."""
    if points is None:
        return None
    return {n: [share(v) for v in points[n]] for n in ("false_positive_rate", "detection_rate")}
