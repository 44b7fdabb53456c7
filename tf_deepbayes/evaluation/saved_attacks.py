"""A saved attack's images and logits: an .npz next to the result."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_arrays, write_atomically
from tf_deepbayes.evaluation.runner import AttackResult
from tf_deepbayes.evaluation.scoring import EvaluationSet

ATTACK_ARRAYS = ("adversarial", "labels", "attack_labels", "clean_logits", "adversarial_logits")


def attack_name(name: str, attack: Attack, eps: float) -> str:
    """Name of a saved attack, as published: fgsm_eps0.10."""
    return f"{name}_{attack.eps_name(eps)}" + ("_targeted" if attack.targeted else "")


def write_attack_arrays(path: pathlib.Path, target: EvaluationSet, outcome: AttackResult) -> None:
    """Write a saved attack's arrays: `ATTACK_ARRAYS`, and `indices` in the test set."""
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
        raise InputError(f"{path} is not a saved attack: expected arrays {sorted(missing)} in it")
    return arrays


def select_images(arrays: Mapping[str, Array], indices: Array) -> dict[str, Array]:
    """A saved attack's arrays, restricted to the test images with these indices.

    Raises:
        InputError: the attack does not say which images it used, or used none of these.
    """
    if "indices" not in arrays:
        raise InputError("the saved attack does not say which test images it used; run it again")
    kept = np.isin(arrays["indices"], indices)
    if not kept.any():
        raise InputError("the saved attack used none of the images of --indices; attack them")
    return {name: array[kept] for name, array in arrays.items()}
