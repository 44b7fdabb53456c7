"""Which results may share a table: the same settings, noise, images and weights in every column.

A table that would mix them is not drawn and says what differs. A model with other epochs than most
stands in a row of its own, with its own epochs.
"""

import dataclasses
import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import pandas as pd

from tf_deepbayes.study.results import Study, in_order

GROUP = ("data", "threat", "attack", "kind")
# What must be the same in a column, and how a message calls it.
SHARED = {
    "steps": "steps",
    "learning_rate": "learning rate",
    "K": "K",
    "noise": "noise",
    "draws": "draws",
    "n": "images",
    "images": "digest of the images",
}
NAMES = {"fgsm": "FGSM", "pgd": "PGD", "mim": "MIM", "cw": "CW ℓ2", "spsa": "SPSA"}


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """The results of one attack on the models of a data set, or why they have no table.

    Attributes:
        rows: of `Study.attacks`; one a model, seed and size unless refused.
        refused: what differs, in words; empty when the table may be drawn.
        left_out: results that the others do not share their settings with.
        variant: what tells it from another table of the same attack.
    """

    data: str
    threat: str
    attack: str
    kind: str
    rows: pd.DataFrame
    refused: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    variant: str = ""

    @property
    def id(self) -> str:
        """A name for files and links."""
        parts = [self.data, self.attack, self.kind, self.variant]
        parts.insert(1, "" if self.threat == "white box" else self.threat)
        if self.attack == "clean":
            return f"{self.data}_clean"
        return re.sub(r"[^a-z0-9.]+", "_", "_".join(filter(None, parts)).lower()).strip("_")

    @property
    def title(self) -> str:
        """The attack, what is known to it, and what is not as published."""
        threat = "" if self.threat == "white box" else f", {self.threat}"
        extra = "".join(f", {text}" for text in (self.kind, self.variant) if text)
        return f"{NAMES.get(self.attack, self.attack)}{threat}{extra} on {self.data}"

    @property
    def is_linf(self) -> bool:
        """Whether the sizes are ε and not c."""
        return self.attack != "cw"


def in_words(row: Mapping[Any, Any] | pd.Series) -> str:
    """The attack of a row of `Study.attacks` at its size, such as "PGD, ε 0.3"."""
    threat = "" if row["threat"] == "white box" else row["threat"]
    size = f"{'c' if row['attack'] == 'cw' else 'ε'} {row['size']:g}"
    parts = [NAMES.get(row["attack"], row["attack"]), threat, row["kind"], size]
    return ", ".join(filter(None, parts))


def tables(study: Study) -> list[Table]:
    """The tables of all attacks, refused ones included."""
    found: list[Table] = []
    for key, rows in study.attacks.groupby(list(GROUP), sort=False):
        found += _variants(tuple(map(str, key)), rows)  # type: ignore[arg-type]
    return sorted(found, key=lambda table: (table.data, table.threat != "white box", table.title))


def common_epochs(study: Study, data: str) -> float:
    """The epochs that most runs of a data set have; of two equally frequent ones the larger."""
    epochs = study.runs.loc[study.runs.data == data, "epochs"]
    counts = epochs.value_counts()
    return float(max(counts[counts == counts.max()].index))


def _variants(key: tuple[str, str, str, str], rows: pd.DataFrame) -> list[Table]:
    """One table, or several when all models have results in several settings."""
    if weights := mixed_weights(rows):
        return [Table(*key, rows, refused=tuple(weights))]
    whole: list[pd.DataFrame] = []
    partial: list[pd.DataFrame] = []
    for _, at_size in rows.groupby("size"):
        parts = [part for _, part in at_size.groupby(list(SHARED), dropna=False)]
        shared = [part for part in parts if set(part.model) == set(at_size.model)]
        if not shared:
            return [Table(*key, rows, refused=tuple(_differences(at_size)))]
        whole += shared
        partial += [part for part in parts if set(part.model) != set(at_size.model)]
    left_out = tuple(_named(part) for part in partial)
    repeated = len(whole) > len({size for part in whole for size in part["size"]})
    if not repeated:
        return [Table(*key, pd.concat(whole), left_out=left_out)]
    groups: dict[str, list[pd.DataFrame]] = {}
    for part in whole:
        row = part.iloc[0]
        name = f"K {row.K}, {row.noise}, {row.n} images {row.images[:6]}"
        groups.setdefault(name, []).append(part)
    return [
        Table(*key, pd.concat(parts), left_out=left_out, variant=name)
        for name, parts in groups.items()
    ]


def mixed_weights(rows: pd.DataFrame) -> list[str]:
    """What is said of models whose results are of more than one set of weights."""
    found = []
    for (model, seed), part in rows.groupby(["model", "seed"]):
        if part.weights.nunique() > 1:
            digests = ", ".join(sorted(w[:12] for w in part.weights.unique()))
            found.append(f"results of {model} (seed {seed}) are of different weights: {digests}")
    return found


def _differences(rows: pd.DataFrame) -> Iterable[str]:
    """What differs at one size, a sentence for each setting, with the models of each value."""
    for column, name in SHARED.items():
        values: dict[Hashable, list[str]] = {}
        for value, part in rows.groupby(column, dropna=False):
            models = sorted(part.model.unique(), key=in_order)
            values[str(value)[:12]] = models
        if len(values) > 1:
            told = "; ".join(f"{v} ({', '.join(models)})" for v, models in values.items())
            yield f"{name} at {rows.eps.iloc[0]}: {told}"


def _named(part: pd.DataFrame) -> str:
    row = part.iloc[0]
    models = ", ".join(sorted(part.model.unique(), key=in_order))
    return f"{models} at {row.eps} with K {row.K}, {row.noise} noise, {row.n} images"
