"""Images before and after an attack, with the predicted class, right or wrong by word and frame."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.files import read_arrays
from tf_deepbayes.data import datasets
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.reporting.html_report import picture_grid
from tf_deepbayes.study.provenance import NAMES, Table
from tf_deepbayes.study.results import Study, in_order

COUNT = 10  # images in a row
DPI = 90.0
MOST = 1_800_000  # characters of all pictures, so that the page stays below 3 MB
RIGHT, WRONG = "#009e73", "#d55e00"
OPEN = "GFY"  # the model whose examples are open, as in the later study's figure
# (data set, indices) → the clean images, pixels in [0, 1]; None where they are not at hand.
CleanImages = Callable[[str, Array], Array | None]


class Example(NamedTuple):
    """A model's images: the clean ones where they are at hand, then each ε."""

    title: str
    image: str
    alt: str
    is_open: bool


def clean_images(data_dir: str | None) -> CleanImages:
    """Reads clean images from the folder of data sets; without a folder there are none."""

    def read(data: str, indices: Array) -> Array | None:
        if data_dir is None or data not in datasets.TASKS:
            return None
        return datasets.load(data, data_dir).test.take(indices).pixels

    return read


def examples(study: Study, tables: list[Table], clean: CleanImages) -> list[Example]:
    """The images of each model under the first attack whose images were kept."""
    found: list[Example] = []
    seen = set()
    for table in tables:
        if table.refused or not table.is_linf:
            continue
        for model in sorted(set(table.rows.model), key=in_order):
            if (table.data, model) in seen:
                continue
            if sum(len(example.image) for example in found) > MOST:
                return found
            rows = table.rows[(table.rows.model == model) & (table.rows.seed == 0)]
            if example := _example(study, table, model, rows.sort_values("size"), clean):
                seen.add((table.data, model))
                found.append(example)
    if found and not any(example.is_open for example in found):
        found[0] = found[0]._replace(is_open=True)
    return found


def _example(
    study: Study, table: Table, model: str, rows: pd.DataFrame, clean: CleanImages
) -> Example | None:
    pictures: list[Array] = []
    labels: list[str] = []
    predicted: list[Array] = []
    truth: Array = np.zeros(0)
    for row in rows.drop_duplicates("size").itertuples():
        outcome, arrays = study.outcomes(str(row.path)), _arrays(study.root / str(row.path))
        if outcome is None or arrays is None:
            continue
        truth = outcome.labels[:COUNT]
        if not pictures:
            images = clean(table.data, outcome.indices[:COUNT])
            if images is not None and images.shape == arrays["adversarial"][:COUNT].shape:
                pictures.append(images)
                labels.append("clean")
                predicted.append(outcome.clean_predicted[:COUNT, 0])
        pictures.append(arrays["adversarial"][:COUNT])
        labels.append(f"ε {row.eps}")
        predicted.append(outcome.predicted[:COUNT, 0])
    if not pictures:
        return None
    is_right = [classes == truth for classes in predicted]
    titles = [
        [f"{c} {'right' if r else 'wrong'}" for c, r in zip(classes, right, strict=True)]
        for classes, right in zip(predicted, is_right, strict=True)
    ]
    frames = [[RIGHT if r else WRONG for r in right] for right in is_right]
    told = "; ".join(
        f"{label}: {right.sum()} of {len(right)} right"
        for label, right in zip(labels, is_right, strict=True)
    )
    title = f"{model} on {table.data}, {NAMES.get(table.attack, table.attack)}"
    image = picture_grid(pictures, labels, titles, frames, DPI)
    return Example(title, image, f"{title}. {told}", model == OPEN)


def _arrays(path: pathlib.Path) -> dict[str, Array] | None:
    """The arrays of a saved attack; None where its images or outcomes were not kept."""
    path = path.with_suffix(".npz")
    if not path.is_file():
        return None
    kept = set(read_arrays(path, "run the attack again"))
    if not {"adversarial", "indices", "predicted", "clean_predicted"} <= kept:
        return None
    arrays = saved_attacks.read_attack_arrays(path)
    return arrays if arrays["adversarial"].ndim == 4 and len(arrays["labels"]) else None
