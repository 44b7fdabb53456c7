"""The numbers that claims are tested on: accuracies of the same images under several models."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from tf_deepbayes.core.axes import Array
from tf_deepbayes.study import provenance
from tf_deepbayes.study.bootstrap import Estimate, bootstrap
from tf_deepbayes.study.claims.verdicts import (
    FEWEST_IMAGES,
    HIGHEST,
    LOWEST,
    Cell,
    Found,
    Untested,
)
from tf_deepbayes.study.provenance import NAMES, Table
from tf_deepbayes.study.results import Outcomes, Study

LINF = ("fgsm", "pgd", "mim")
PUBLISHED_KIND = re.compile(r"(nb_iter(40|100)|snapshot)?")
# One run's attacks at some sizes → a value of each image, `[N]`.
Measure = Callable[[Outcomes], Array]


@dataclasses.dataclass(frozen=True)
class Values:
    """Values of the same images under several models: `[S seeds, N images, M columns]`."""

    array: Array
    epochs: float
    asked: float | None
    sampled: str

    def cell(self, name: str, d: Estimate, table: str, left_out: str = "") -> Cell:
        """A cell measured on these."""
        seeds, images, _ = self.array.shape
        return Cell(name, d, table, self.epochs, self.asked, seeds, images, left_out)

    @property
    def means(self) -> Array:
        """The mean of each column."""
        return self.array.mean((0, 1))


@dataclasses.dataclass(frozen=True, eq=False)
class Results:
    """A study's tables, as claims ask for them."""

    study: Study
    tables: Sequence[Table]

    def drawn(
        self, data: str, attacks: Sequence[str], threat: str = "white box"
    ) -> Iterator[Table | Untested]:
        """The tables of these attacks with published settings; what is refused is untested."""
        found = [t for t in self.tables if t.data == data and t.threat == threat]
        for attack in attacks:
            own = [t for t in found if t.attack == attack and PUBLISHED_KIND.fullmatch(t.kind)]
            if not own:
                yield Untested(
                    f"{NAMES.get(attack, attack)} on {data}", _absent(attack, data, threat)
                )
            for table in own:
                if table.refused:
                    yield Untested(table.title, f"its table would mix: {table.refused[0]}")
                else:
                    yield table

    def values(
        self, parts: Sequence[tuple[str, pd.DataFrame]], measure: Measure = lambda o: o.right
    ) -> Values | str:
        """The values of each part's images: the same images, epochs, seeds and sampling in all.

        Args:
            parts: (what it is called, rows of one model), one a column.

        Returns:
            A reason in words when they cannot be compared.
        """
        if missing := [name for name, rows in parts if rows.empty]:
            return f"no run of {', '.join(dict.fromkeys(missing))}"
        shared = set.intersection(*(set(rows.epochs.dropna()) for _, rows in parts))
        if not shared:
            told = (f"{name} at {_epochs(rows)}" for name, rows in parts)
            return "other epochs: " + ", ".join(dict.fromkeys(told))
        epochs = max(shared)
        of_epochs = pd.concat([rows[rows.epochs == epochs] for _, rows in parts])
        if weights := provenance.mixed_weights(of_epochs):
            return weights[0]
        if why := other_settings(*(rows for _, rows in parts)):
            return why
        seeds = set.intersection(*(set(rows[rows.epochs == epochs].seed) for _, rows in parts))
        if not seeds:
            return "no seed that all of them have"
        outcomes: list[list[Outcomes]] = []
        for seed in sorted(seeds):
            rows_of = [rows[(rows.epochs == epochs) & (rows.seed == seed)] for _, rows in parts]
            found = [self.study.outcomes(rows.path.iloc[0]) for rows in rows_of]
            if any(outcome is None for outcome in found):
                return "the outcomes of the images were not kept"
            outcomes.append([outcome for outcome in found if outcome is not None])
        if why := _at_chance(parts, outcomes):
            return why
        array = _aligned(outcomes, measure)
        if array.shape[1] < FEWEST_IMAGES:
            return f"{array.shape[1]} images, fewer than {FEWEST_IMAGES}"
        asked = of_epochs.asked.dropna()
        of = float(asked.max()) if len(asked) else None
        return Values(array, float(epochs), of, sampling(of_epochs))

    def contrast(
        self,
        name: str,
        table: str,
        parts: Sequence[tuple[str, pd.DataFrame]],
        sides: Callable[[Array], tuple[Array, Array]],
    ) -> Found:
        """The difference between two sides, each made of the columns' means `[..., M]`."""
        values = self.values(parts)
        if isinstance(values, str):
            return Untested(name, values)
        d = bootstrap([values.array], lambda means: np.subtract(*sides(means)))
        return values.cell(name, d, table, extreme(*sides(values.means)))


def extreme(*sides: float | Array) -> str:
    """Why a cell is left out: all sides are at the floor, or all at the ceiling."""
    if all(side < LOWEST for side in sides):
        return "at the floor"
    return "at the ceiling" if all(side > HIGHEST for side in sides) else ""


def of_model(table: Table, model: str, size: float) -> pd.DataFrame:
    """A model's rows at one size."""
    return table.rows[(table.rows.model == model) & (table.rows["size"] == size)]


def of_runs(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(model, its rows with the same epochs)."""
    for (model, _), part in rows.groupby(["model", "epochs"], dropna=False):
        yield str(model), part


def sampling(rows: pd.DataFrame) -> str:
    """How the classifiers were sampled, such as "K 10, independent noise, 5 draws"."""
    told = {
        f"K {k}, {noise} noise, {'unknown' if pd.isna(draws) else f'{draws:g}'} draws"
        for k, noise, draws in zip(rows.K, rows.noise, rows.draws, strict=True)
    }
    return " and ".join(sorted(told))


def other_settings(*parts: pd.DataFrame) -> str:
    """Why results are not compared that were sampled in other ways; empty if they may be."""
    told = dict.fromkeys(sampling(rows) for rows in parts)
    return f"other settings: {' against '.join(told)}" if len(told) > 1 else ""


def like(rows: pd.DataFrame, others: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Of results to compare with, the first that were sampled like these, or else the first."""
    return next((own for own in others if sampling(own) == sampling(rows)), others[0])


def sizes(table: Table, low: float = 0.0, high: float = float("inf")) -> list[float]:
    """The sizes of a table in a range."""
    return [size for size in sorted(table.rows["size"].unique()) if low <= size <= high]


def cell_name(table: Table, size: float, *more: str) -> str:
    """Such as "PGD on mnist, ε 0.2"."""
    return ", ".join([table.title, f"{'ε' if table.is_linf else 'c'} {size:g}", *more])


def lowest_clean(num_classes: int) -> float:
    """The clean accuracy below which a model is at chance: 2/C, of two classes 3/4."""
    return min(2 / num_classes, (1 + 1 / num_classes) / 2)


def _absent(attack: str, data: str, threat: str) -> str:
    of = "" if threat == "white box" else f" ({threat})"
    return f"no {NAMES.get(attack, attack)}{of} on {data}"


def _epochs(rows: pd.DataFrame) -> str:
    known = [f"{epochs:g}" for epochs in sorted(rows.epochs.dropna().unique())]
    return " and ".join(known) or "unknown, of weights that are not those of trained.json"


def _at_chance(
    parts: Sequence[tuple[str, pd.DataFrame]], outcomes: Sequence[Sequence[Outcomes]]
) -> str:
    classes = 1 + max(int(outcome.labels.max()) for found in outcomes for outcome in found)
    lowest = lowest_clean(max(classes, 2))
    for found in outcomes:
        for (name, _), outcome in zip(parts, found, strict=True):
            share = outcome.clean_right.mean()
            if share < lowest:
                return f"{name} is at chance (clean accuracy {share:.2f})"
    return ""


def _aligned(outcomes: Sequence[Sequence[Outcomes]], measure: Measure) -> Array:
    """`[S, N, M]` on the images that all have, in the order of their indices."""
    values = [outcome.of_images(measure(outcome)) for found in outcomes for outcome in found]
    common = sorted(set.intersection(*map(set, values)))
    columns = [[own[index] for index in common] for own in values]
    shape = (len(outcomes), -1, len(common))
    return np.array(columns, float).reshape(shape).transpose(0, 2, 1)
