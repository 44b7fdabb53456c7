"""One JSON per result, with all that is needed to run it again; images in an .npz beside it."""

import os
import pathlib
import platform
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.runner import Outcome
from tf_deepbayes.attacks.scoring import Target
from tf_deepbayes.axes import Array
from tf_deepbayes.checkpoints import RunConfig, versions
from tf_deepbayes.errors import InputError
from tf_deepbayes.files import read_arrays, read_json, write_atomically, write_json

ATTACK_ARRAYS = ("adversarial", "labels", "attack_labels", "clean_logits", "adversarial_logits")


def provenance() -> dict[str, Any]:
    """The command, library versions and machine of a result."""
    return {
        "command": [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": versions(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }


def attack_name(name: str, attack: Attack, eps: float) -> str:
    """Name of a saved attack, as published: fgsm_eps0.10."""
    return f"{name}_{attack.size_name(eps)}" + ("_targeted" if attack.targeted else "")


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


def finished(path: pathlib.Path, kind: str, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The figures of a result that is on disk with these settings; None when it is not."""
    if not path.is_file():
        return None
    content = read_result(path, kind)
    same = all(content["settings"].get(name) == value for name, value in settings.items())
    return content["figures"] if same else None


def write_attack_arrays(path: pathlib.Path, target: Target, outcome: Outcome) -> None:
    """Write a saved attack's arrays: `ATTACK_ARRAYS`, and `indices`, numbers in the test set."""
    arrays: dict[str, Any] = {
        "adversarial": outcome.adversarial,
        "labels": target.labels,
        "attack_labels": target.attack_labels,
        "clean_logits": target.clean_logits,
        "adversarial_logits": outcome.logits,
        "indices": target.indices,
    }
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def read_attack_arrays(path: pathlib.Path) -> dict[str, Array]:
    """A saved attack's arrays; InputError when missing or damaged."""
    if not path.is_file():
        raise InputError(f"no saved attack {path}; run attack/attack.py with --save first")
    arrays = read_arrays(path, "run the attack again")
    missing = set(ATTACK_ARRAYS) - set(arrays)
    if missing:
        raise InputError(f"{path} is no saved attack: expected arrays {sorted(missing)} in it")
    return arrays


def keep_attacked(arrays: Mapping[str, Array], indices: Array) -> dict[str, Array]:
    """A saved attack's arrays on those test images alone that have these numbers.

    Raises:
        InputError: the attack does not say which images it is of, or is of none of them.
    """
    if "indices" not in arrays:
        raise InputError("the saved attack does not say which test images it is of; run it again")
    kept = np.isin(arrays["indices"], indices)
    if not kept.any():
        raise InputError("the saved attack is of none of the images of --indices; attack them")
    return {name: array[kept] for name, array in arrays.items()}
