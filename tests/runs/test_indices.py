"""Files of the images that a classifier gets right: written, intersected, refused."""

import pathlib
from typing import Any

import numpy as np
import pytest

from tests.small import convnet
from tf_deepbayes.core import files
from tf_deepbayes.core.files import digest
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.evaluation.scoring import EvaluationSet
from tf_deepbayes.runs.indices import KIND, correct_indices, read_indices

X = np.random.default_rng(0).uniform(size=(3, 8, 8, 1)).astype(np.float32)


def write(folder: pathlib.Path, name: str, indices: Any, **changes: Any) -> str:
    """A file of indices of ten images of mnist, or what `changes` makes of it."""
    content = {"kind": KIND, "data": "mnist", "figures": {"num_images": 10, "indices": indices}}
    files.write_json(folder / name, {**content, **changes})
    return str(folder / name)


def test_what_is_right_and_what_is_common(tmp_path: pathlib.Path) -> None:
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]])
    assert correct_indices(logits, np.array([0, 0, 0])).tolist() == [0, 2]
    paths = [write(tmp_path, "a", [9, 2, 5]), write(tmp_path, "b", [5, 1, 9])]
    assert read_indices(paths, "mnist", 10).tolist() == [5, 9]
    assert read_indices(paths[:1], "mnist", 10).tolist() == [2, 5, 9]
    assert digest(np.array([1, 2])) != digest(np.array([1, 3]))


@pytest.mark.parametrize(
    ("indices", "changes", "message"),
    [
        ([1], {"kind": "attack"}, "not the result of kind 'indices'"),
        ([1], {"data": "plane_frog"}, "is of 10 images of plane_frog, expected 10 of mnist"),
        ([1], {"figures": [1]}, "is of None images of mnist"),
        ([10], {}, "damaged: expected numbers of images"),
        ([-1], {}, "damaged"),
        ([1.5], {}, "damaged"),
        (3, {}, "damaged"),
        ([], {}, "no test image is in all of"),
    ],
)
def test_files_of_something_else_are_refused(
    indices: Any, changes: dict, message: str, tmp_path: pathlib.Path
) -> None:
    path = write(tmp_path, "a", indices, **changes)
    with pytest.raises(ValueError, match=message):
        read_indices([path], "mnist", 10)
    with pytest.raises(ValueError, match="expected a file"):
        read_indices([str(tmp_path / "absent")], "mnist", 10)


def test_a_saved_attack_knows_its_images() -> None:
    labels = np.array([0, 1, 2])
    target = EvaluationSet.of(
        convnet(), X, labels, targeted=True, draws=1, indices=np.array([7, 3, 8])
    )
    assert target.indices.tolist() == [7] * 4 + [3] * 4 + [8] * 4
    saved = {"labels": target.labels, "indices": target.indices}
    kept = saved_attacks.select_images(saved, np.array([3, 8, 9]))
    assert kept["labels"].tolist() == [1] * 4 + [2] * 4
    with pytest.raises(ValueError, match="used none of the images of --indices"):
        saved_attacks.select_images(saved, np.array([0]))
    with pytest.raises(ValueError, match="does not say which test images"):
        saved_attacks.select_images({"labels": labels}, np.array([0]))
