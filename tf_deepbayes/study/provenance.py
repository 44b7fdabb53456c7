"""Which results may share a table: the same settings, noise, images and weights in every column.

A table that would mix them is not drawn and says what differs. A model with other epochs than most
stands in a row of its own, with its own epochs.
"""

import dataclasses
import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from tf_deepbayes.evaluation.identity import DIGEST
from tf_deepbayes.study.results import Study, in_order

GROUP = ("data", "threat", "attack", "kind")
# How a classifier was sampled: what claims and the clean table compare between attacks.
SAMPLED = ("K", "noise", "draws")
# What must be the same in a column, and how a message calls it. `apart`: see `_apart`.
SHARED = {
    "steps": "steps",
    "learning_rate": "learning rate",
    "K": "K",
    "noise": "noise",
    "draws": "draws",
    "n": "images",
    "images": "digest of the images",
    "apart": "further settings",
}
# How a name says their values.
WORDS = {
    **{"steps": "{:g} steps", "learning_rate": "learning rate {:g}", "K": "K {}"},
    **{"noise": "{} noise", "draws": "{:g} draws", "n": "{} images", "images": "images {:.6}"},
    "apart": "{}",
}
# Of a result's settings: what tells no attack apart, or is told by the digest of the images.
NO_SETTINGS = ("version", "images", "num_images", "indices")
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
    by_size = [at_size for _, at_size in rows.groupby("size")]
    rows = pd.concat([at_size.assign(apart=_apart(at_size)) for at_size in by_size])
    if refused := [*mixed_weights(rows), *_repeated(rows)]:
        return [Table(*key, rows, refused=tuple(refused))]
    whole: list[pd.DataFrame] = []
    left_out: list[str] = []
    for _, at_size in rows.groupby("size"):
        parts = [part for _, part in at_size.groupby(list(SHARED), dropna=False)]
        shared = [part for part in parts if set(part.model) == set(at_size.model)]
        if not shared:
            return [Table(*key, rows, refused=tuple(_differences(at_size)))]
        whole += shared
        columns = _differing(at_size)
        left_out += [_named(p, columns) for p in parts if set(p.model) != set(at_size.model)]
    columns = _differing(pd.concat(whole))
    groups: dict[str, list[pd.DataFrame]] = {}
    for part in whole:
        groups.setdefault(_said(part, columns), []).append(part)
    return [
        Table(*key, pd.concat(parts), left_out=tuple(left_out), variant=name)
        for name, parts in groups.items()
    ]


def _apart(rows: pd.DataFrame) -> pd.Series:
    """The settings in which results of one run at one size differ that share all others, as words.

    Such as lazy classes: models may differ in them, but results of one run are no two seeds.
    """
    settings = rows.settings.map(_flat)
    shared = [column for column in SHARED if column != "apart"]
    own = rows.groupby(["model", "seed", *shared], dropna=False)
    names = sorted({name for _, part in own for name in _unlike(settings[part.index])})
    return settings.map(lambda found: ", ".join(f"{n} {_short(found.get(n))}" for n in names))


def _flat(settings: str) -> dict[str, Any]:
    found = json.loads(settings)
    attack = found.pop("attack")
    return {name: value for name, value in (attack | found).items() if name not in NO_SETTINGS}


def _unlike(settings: Iterable[Mapping[str, Any]]) -> set[str]:
    """The names whose values differ."""
    found = list(settings)
    names = {name for one in found for name in one}
    return {name for name in names if any(one.get(name) != found[0].get(name) for one in found)}


def _short(value: Any) -> str:
    """A setting's value; of a detector or images its name or the start of a digest."""
    if isinstance(value, Mapping):
        value = value.get("name", value.get("digest", value))
    return str(value)[:12] if DIGEST.fullmatch(str(value)) else str(value)


def _repeated(rows: pd.DataFrame) -> list[str]:
    """What is said of results of one run with the same settings: they are no two seeds."""
    return [
        f"results of {part.model.iloc[0]} (seed {part.seed.iloc[0]}) at {part.eps.iloc[0]} have "
        f"the same settings: {', '.join(part['name'])}"
        for _, part in rows.groupby(["model", "seed", "size", *SHARED], dropna=False)
        if len(part) > 1
    ]


def _differing(rows: pd.DataFrame) -> list[str]:
    """The columns of `SHARED` that differ at some size; not the digest where the number tells."""
    found = [
        column
        for column in SHARED
        if (rows.groupby("size")[column].nunique(dropna=False) > 1).any()
    ]
    is_told = "n" in found and (rows.groupby(["size", "n"]).images.nunique() == 1).all()
    return [column for column in found if not (column == "images" and is_told)]


def _said(part: pd.DataFrame, columns: Sequence[str]) -> str:
    """Such as "K 10, mixture noise"."""
    row = part.iloc[0]
    return ", ".join(
        WORDS[c].format(row[c]) if pd.notna(row[c]) else f"unknown {SHARED[c]}" for c in columns
    )


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
            values[str(value)[:12] if column == "images" else str(value)] = models
        if len(values) > 1:
            told = "; ".join(f"{v} ({', '.join(models)})" for v, models in values.items())
            yield f"{name} at {rows.eps.iloc[0]}: {told}"


def _named(part: pd.DataFrame, columns: Sequence[str]) -> str:
    models = ", ".join(sorted(part.model.unique(), key=in_order))
    return f"{models} at {part.eps.iloc[0]} with {_said(part, columns)}"
