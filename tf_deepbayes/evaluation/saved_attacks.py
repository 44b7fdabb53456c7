"""A saved attack's images and logits: an .npz next to the result."""

import glob
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_arrays, write_arrays
from tf_deepbayes.core.validation import check_labels, check_pixels
from tf_deepbayes.evaluation.result_names import same_size, split_name
from tf_deepbayes.evaluation.runner import AttackResult
from tf_deepbayes.evaluation.scoring import EvaluationSet

ATTACK_ARRAYS = ("adversarial", "labels", "attack_labels", "clean_logits", "adversarial_logits")


def write_attack_arrays(
    path: pathlib.Path, target: EvaluationSet, outcome: AttackResult, images: bool = True
) -> None:
    """Write a saved attack's arrays: `ATTACK_ARRAYS`, and these.

    `indices` `[N]`, the images' numbers in the test set; `clean_predicted` `[N, 1 + R]` and
    `predicted` `[N, R]`, the classes in each draw of the noise before and after the attack.

    Args:
        images: write the images too; without them a report can still pair the outcomes.
    """
    arrays: dict[str, Any] = {
        **({"adversarial": outcome.adversarial} if images else {}),
        "labels": target.labels,
        "attack_labels": target.attack_labels,
        "clean_logits": target.clean_logits,
        "clean_predicted": target.clean_predicted.T,
        "adversarial_logits": outcome.logits,
        "predicted": outcome.draws.argmax(-1).T,
        "indices": target.indices,
    }
    write_arrays(path, arrays)


def write_outcomes(
    path: pathlib.Path, target: EvaluationSet, predicted: Mapping[str, Array]
) -> None:
    """Write the classes in each draw of the noise: clean, and under each of several attacks.

    Args:
        predicted: `[R, N]` by the attack's name; N may be fewer than the target's images. Written
            as `[N, R]`.
    """
    arrays = {"labels": target.labels, "clean_predicted": target.clean_predicted.T}
    arrays |= {"indices": target.indices, **{f"predicted_{n}": v.T for n, v in predicted.items()}}
    write_arrays(path, arrays)


def saved_name(folder: pathlib.Path, name: str) -> str:
    """The name of the saved attack that is meant.

    That of a file; with the size as names have it (eps0.1 → eps0.10); or the only one that adds
    settings to it (pgd_eps0.10 → pgd_log_odds_eps0.10).

    Raises:
        InputError: none is meant, or several are; the message lists them.
    """
    for found in (name, same_size(name)):
        if (folder / f"{found}.npz").is_file():
            return found
    begin, size = split_name(same_size(name))
    names = sorted(path.stem for path in folder.glob(f"{glob.escape(begin)}_*.npz") if size)
    meant = [found for found in names if found.endswith(f"_{size}")]
    if len(meant) == 1:
        return meant[0]
    there = ", ".join(meant or sorted(path.stem for path in folder.glob("*.npz"))) or "none"
    raise InputError(
        f"no saved attack {name} in {folder}; run attack/attack.py with --save first, or give one "
        f"of those there: {there}"
    )


def read_attack_arrays(path: pathlib.Path) -> dict[str, Array]:
    """A saved attack's arrays; InputError when missing or damaged."""
    if not path.is_file():
        raise InputError(f"no saved attack {path}; run attack/attack.py with --save first")
    arrays = read_arrays(path, "run the attack again")
    if "labels" in arrays and "adversarial" not in arrays:
        raise InputError(f"{path} holds outcomes without images; run the attack with --save")
    missing = set(ATTACK_ARRAYS) - set(arrays)
    if missing:
        raise InputError(f"{path} is not a saved attack: expected arrays {sorted(missing)} in it")
    try:
        return arrays | _checked(arrays)
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}; run the attack again") from None


def _checked(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The images and labels of a saved attack; InputError unless all arrays fit together."""
    images = check_pixels(arrays["adversarial"])
    count = len(images) if images.ndim else -1
    for name in ("clean_logits", "adversarial_logits"):
        logits = arrays[name]
        if logits.ndim != 2 or logits.dtype.kind != "f" or not np.isfinite(logits).all():
            raise InputError(f"{name} must be finite floats [N, C], got {list(logits.shape)}")
    classes = arrays["adversarial_logits"].shape[1]
    labels = {n: check_labels(arrays[n], classes, count, n) for n in ("labels", "attack_labels")}
    for name, values in arrays.items():
        if not values.ndim or len(values) != count:
            raise InputError(f"{name} must have a row for each of {count} images")
    if arrays.get("indices", np.arange(0)).dtype.kind not in "iu":
        raise InputError("indices must be whole numbers")
    return {"adversarial": images, **labels}


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
