"""Files of the test images that a classifier gets right, and the intersection of several.

Published figures on plane_frog use the images that all seven models classify correctly.
"""

import pathlib
from collections.abc import Sequence

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.splits import Split
from tf_deepbayes.runs import results
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.identity import identity_of

KIND = "indices"
IMAGE_ORDERS = (IN_FILE_ORDER, RANDOM_ORDER) = ("file", "random")


def correct_indices(logits: Array, labels: Array) -> Array:
    """Indices of the images `[N]` whose largest logit `[N, C]` is that of the label, sorted."""
    return np.flatnonzero(logits.argmax(1) == labels)


def write_indices(
    path: pathlib.Path, victim: Run, indices: Array, test: Split, overwrite: bool = False
) -> None:
    """Write the indices of the test images that a victim gets right, as JSON.

    Args:
        overwrite: replace a file with other settings, or of other weights or images.
    """
    settings = {
        "num_samples": victim.sampling.num_samples,
        "noise": victim.recorded_scheme,
        "mode": victim.sampling.mode,
        "seed": victim.seed,
        **identity_of(victim.model, test),
    }
    results.on_disk(path, KIND, settings, overwrite)
    figures = {"num_images": len(test), "indices": indices.tolist()}
    results.write_result(path, KIND, victim.config, settings, figures)


def test_indices(
    dataset: Dataset, paths: Sequence[str] | None, order: str = IN_FILE_ORDER
) -> Array:
    """Indices of a data set's test images: those in all of the files, or all without files.

    Args:
        order: "file", ascending; "random", in the one random order that there is for a test set of
            this size, so that the first images are a sample of all. In their file MNIST's first
            5,000 images are harder than its last.
    """
    count = len(dataset.test)
    found = np.arange(count) if paths is None else read_indices(paths, dataset.name, count)
    if order == IN_FILE_ORDER:
        return found
    shuffled = np.random.default_rng(0).permutation(count)
    return shuffled[np.isin(shuffled, found)]


def read_indices(paths: Sequence[str], data_name: str, num_images: int) -> Array:
    """The indices that are in all of the files, sorted `[N]`.

    Args:
        data_name: the data set that the files must be for.
        num_images: size of its test set, which the files must have recorded.

    Raises:
        InputError: a file is missing, damaged or for another data set, or they share no image.
    """
    common = np.arange(num_images)
    for path in paths:
        common = np.intersect1d(common, _read_file(pathlib.Path(path), data_name, num_images))
    if not len(common):
        raise InputError(
            f"no test image is in all of {', '.join(map(str, paths))}; leave out a classifier"
        )
    return common


def _read_file(path: pathlib.Path, data_name: str, num_images: int) -> Array:
    content = results.read_result(path, KIND)
    figures = content.get("figures")
    figures = figures if isinstance(figures, dict) else {}
    found = (content.get("data"), figures.get("num_images"))
    if found != (data_name, num_images):
        raise InputError(
            f"{path} is of {found[1]} images of {found[0]}, expected {num_images} of {data_name}; "
            "run attack/extract_index.py on this data set"
        )
    numbers = figures.get("indices")
    if not isinstance(numbers, list) or not all(
        type(number) is int and 0 <= number < num_images for number in numbers
    ):
        raise InputError(f"{path} is damaged: expected numbers of images; write it again")
    return np.array(numbers, np.int64)
