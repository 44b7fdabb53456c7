"""Where a run's own data is, and whether what is there is what the run was trained on."""

import pathlib
from collections.abc import Mapping
from typing import Any

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest
from tf_deepbayes.data import datasets
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.own_data import load_data


def origin_of(dataset: Dataset) -> dict[str, str]:
    """What a run's configuration keeps of its data: a digest, and where own data is."""
    arrays = [a for s in (dataset.train, dataset.test) for a in (s.images, s.labels)]
    where = {} if dataset.name in datasets.TASKS else {"data_path": dataset.source}
    return {**where, "data_digest": digest(*arrays)}


def load_again(
    name: str, settings: Mapping[str, Any], place: str | pathlib.Path | None = None
) -> Dataset:
    """The data set that a run was trained on.

    Args:
        name: of the data set.
        settings: the run's, with what `origin_of` said.
        place: folder of a known data set, the only one searched, or the path of own data that has
            moved; None: the usual places.

    Raises:
        InputError: it is not there, or own data is other data.
    """
    if name in datasets.TASKS:
        return datasets.load(name, place)
    path = place or settings.get("data_path")
    if path in (None, "arrays"):
        raise InputError(f"the run was trained on arrays {name!r}; give their file, --data PATH")
    dataset = load_data(path)
    found, wanted = origin_of(dataset)["data_digest"], settings.get("data_digest")
    if wanted is not None and found != wanted:
        raise InputError(
            f"{path} is not the data that the run was trained on (its digest is {found[:12]}, the "
            f"run's {str(wanted)[:12]}); give that data, or train again"
        )
    return dataset
