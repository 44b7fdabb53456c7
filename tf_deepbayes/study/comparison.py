"""A table's numbers beside the published ones: published, reproduced, ours ± 95%, difference."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from tf_deepbayes.inference.noise import INDEPENDENT
from tf_deepbayes.study.bootstrap import Estimate, of_share
from tf_deepbayes.study.provenance import SAMPLED, Table, common_epochs
from tf_deepbayes.study.published import PAPER, PAPER_K
from tf_deepbayes.study.results import ORDER, Study, in_order
from tf_deepbayes.study.rows import NOT_RECORDED, WHITE_BOX

WITHIN, ABOVE, BELOW = "●", "▲", "▼"
REPRODUCTIONS = ("reproduction", "published code run by others", "published code run by us")
# Columns of `Study.attacks` that the paper prints too: {column: published quantity}.
FURTHER = {
    "l2": "mean_l2_of_successful",
    "substitute_accuracy": "substitute_accuracy_under_attack",
}
COLUMNS = (
    *("model", "epochs", "asked", "behind", "seeds", "images", "size"),
    *("published", "published_half", "published_source", "published_title", "refused"),
    "other_images",
    *("reproduced", "reproduced_high", "reproduced_source"),
    *("ours", "low", "high", "difference", "mark", "results"),
    *FURTHER,
    *(f"{name}_published" for name in FURTHER),
    *(f"{name}_published_source" for name in FURTHER),
    *(f"{name}_published_title" for name in FURTHER),
    *(f"{name}_refused" for name in FURTHER),
)
ACCURACY, ERROR = "accuracy_under_attack", "error_under_attack"
# Settings that the paper's numbers may have, as the kind of a table says them, and those that the
# numbers of an attack do have: SPSA with 2,000 samples, WB+S on every sample (`snapshot`).
PUBLISHED_PART = re.compile(
    r"nb_iter\d+|detection_lambda[0-9.]+|snapshot|published|spsa_samples2000|stop_above5"
)
NEEDED = {"spsa": {"spsa_samples2000", "stop_above5"}, "superwhite": {"snapshot"}}
WIDTHS = {"mnist": "64", "plane_frog": "128", "cifar10": "128"}  # dim_z of the paper's tables
OF_ALL_RIGHT = "images that all models classify rightly"  # in the settings of plane_frog's numbers


def clean_rows(study: Study, data: str) -> pd.DataFrame:
    """One attack of each run of a data set to read the clean accuracy from.

    All are on the same images with the same K, noise and draws: those that most models were
    attacked with, of these the published ones, then the most images.
    """
    rows = study.attacks[(study.attacks.data == data) & (study.attacks.threat == WHITE_BOX)]
    if rows.empty:
        return rows
    parts = [part for _, part in rows.groupby(["images", *SAMPLED], dropna=False)]
    chosen = max(parts, key=_preferred).sort_values(["attack", "kind", "size"])
    return chosen.drop_duplicates(["model", "seed"])


def _preferred(part: pd.DataFrame) -> tuple[int, bool, int]:
    row = part.iloc[0]
    is_published = row.K == PAPER_K and row.noise == INDEPENDENT
    return part.model.nunique(), is_published, int(row.n)


def values_of(study: Study, rows: pd.DataFrame, clean: bool = False) -> np.ndarray | None:
    """Accuracy of each image, mean over draws and over the targets of a targeted attack.

    Of each seed, `[seeds, N]`; None where outcomes were not kept.

    Seeds with other images in another order are put into the order of the first.
    """
    found = [study.outcomes(path) for path in rows.path]
    known = [outcome for outcome in found if outcome is not None]
    if len(known) < len(found) or not known:
        return None
    values = [o.of_images(o.clean_right if clean else o.right) for o in known]
    common = sorted(set.intersection(*map(set, values)))
    return np.array([[own[index] for index in common] for own in values])


def estimate(study: Study, rows: pd.DataFrame, clean: bool = False) -> Estimate:
    """The accuracy of a model at one size over its seeds, with its 95% interval."""
    values = values_of(study, rows, clean)
    if values is not None and values.size:
        return of_share(values)
    if clean:
        return Estimate(float(rows.clean_accuracy.mean()), np.nan, np.nan)
    return Estimate(*(float(rows[name].mean()) for name in ("accuracy", "low", "high")))


def compare(study: Study, table: Table, published: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table in the paper's order, a model with other epochs in rows of its own."""
    clean = table.attack == "clean"
    common = common_epochs(study, table.data)
    sizes = sorted(table.rows["size"].unique())
    of_all = of_table(published, table)
    numbers = _accuracies(of_all, clean)
    models = {*table.rows.model} | {model for model in numbers.model if model in ORDER}
    found = []
    for model in sorted(models, key=in_order):
        own = table.rows[table.rows.model == model]
        groups = list(own.groupby("epochs", dropna=False)) or [(np.nan, own)]
        for epochs, part in groups:
            for size in sizes:
                cell = part[part["size"] == size]
                other = of_model(numbers, model, cell, size)
                if len(cell) or not other.empty:
                    row = _cell(study, cell, other, clean)
                    behind = bool(len(own)) and epochs != common
                    named = {"model": model, "epochs": epochs, "behind": behind}
                    more = _further(of_all, model, cell, size)
                    found.append(row | more | named | {"size": f"{size:g}"})
    return pd.DataFrame(found, columns=list(COLUMNS))


def of_table(published: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Published numbers of this attack; none for settings that nobody published."""
    parts = set(table.kind.split(", ")) if table.kind else set()
    known = all(PUBLISHED_PART.fullmatch(part) for part in parts)
    if not known or not NEEDED.get(table.attack, set()) <= parts:
        return published.iloc[:0]
    same = (published.dataset == table.data) & (published.threat == table.threat)
    return published[same & (published.attack == table.attack)]


def _accuracies(numbers: pd.DataFrame, clean: bool) -> pd.DataFrame:
    quantities = ["clean_accuracy"] if clean else [ACCURACY, ERROR]
    found = numbers[numbers.quantity.isin(quantities)].copy()
    wrong = found.quantity == ERROR
    found.loc[wrong, "value"] = 1.0 - found.loc[wrong, "value"]
    return found


def of_model(numbers: pd.DataFrame, model: str, cell: pd.DataFrame, size: float) -> pd.DataFrame:
    """The published numbers of one model, or of its variant with another dim_z, at one size."""
    family, *variant = model.split("_Z")
    found = numbers[(numbers.model == family)]
    dims = found.settings.str.extract(r"dim_z=(\d+)")[0]
    if variant:
        found = found[dims == variant[0]]
    elif len(found):
        own = str(cell.dim_z.iloc[0]) if len(cell) else WIDTHS.get(found.dataset.iloc[0])
        found = found[dims.isna() | (dims == own)]
    return found[found["size"] == size] if size or found["size"].notna().any() else found


def printed(numbers: pd.DataFrame, cell: pd.DataFrame, begin: str = "") -> dict[str, Any]:
    """What the paper prints for a cell: `published`, `published_half`, `published_source`.

    Where it prints several numbers, the most precise of those that may be compared with ours, and
    the source names the others. Where none may, there is no number, and `refused` says why.
    `published_title` is that reason, or else the source.
    `other_images`: the paper counts the images that all its models classify rightly, and ours all.

    Args:
        numbers: of this cell, of any kind.
        cell: our results; empty where there are none.
        begin: of the names, such as "l2_".
    """
    found: dict[str, Any] = {"published": np.nan, "published_half": np.nan}
    found |= {"published_source": None, "refused": None, "other_images": False}
    rows: list[Any] = list(numbers[numbers.kind == PAPER].sort_values("uncertainty").itertuples())
    allowed = [row for row in rows if refusal(row, cell) is None]
    if rows:
        first, *others = allowed or rows
        also = "".join(f"; also {row.value:g} in {row.source}" for row in others)
        found["published_source"] = f"{first.source}; {first.settings}{also}"
    if allowed:
        found |= {"published": float(first.value), "published_half": float(first.half)}
        found["other_images"] = OF_ALL_RIGHT in first.settings and _of_all_images(cell)
    elif rows:
        found["refused"] = refusal(first, cell)
    found["published_title"] = found["refused"] or found["published_source"]
    return {f"{begin}{name}": value for name, value in found.items()}


def _of_all_images(cell: pd.DataFrame) -> bool:
    return bool((cell.indices == NOT_RECORDED).any()) if len(cell) else False


def _further(numbers: pd.DataFrame, model: str, cell: pd.DataFrame, size: float) -> dict[str, Any]:
    """What the paper prints beside the accuracies, and ours: see `FURTHER`."""
    row: dict[str, Any] = {}
    for column, quantity in FURTHER.items():
        own = of_model(numbers[numbers.quantity == quantity], model, cell, size)
        row[column] = cell[column].astype(float).mean() if len(cell) else np.nan
        row |= printed(own, cell, f"{column}_")
    return row


def _cell(study: Study, cell: pd.DataFrame, other: pd.DataFrame, clean: bool) -> dict[str, Any]:
    """The figures of one model at one size."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | printed(other, cell)
    ports = other[other.kind.isin(REPRODUCTIONS)]
    if len(ports):
        row["reproduced"], row["reproduced_high"] = ports.value.min(), ports.value.max()
        row["reproduced_source"] = "; ".join(dict.fromkeys(ports.source))
    if len(cell):
        row |= dict(zip(("ours", "low", "high"), estimate(study, cell, clean), strict=True))
        row |= {"seeds": len(cell), "images": int(cell.n.iloc[0]), "asked": cell.asked.iloc[0]}
        row["results"] = " ".join(cell.path)
        if pd.notna(row["published"]) and not row["other_images"]:
            row |= difference(row)
    return row


def refusal(number: Any, cell: pd.DataFrame) -> str | None:
    """Why a published number is not of the same attack as ours; None where it may be compared."""
    if not len(cell):
        return None
    ours = cell.iloc[0]
    steps = number.steps
    if pd.notna(steps) and pd.notna(ours.steps) and int(steps) != int(ours.steps):
        return f"published with {int(steps)} steps ({number.value:g}), ours have {int(ours.steps)}"
    if pd.notna(number.K) and number.K != ours.K:
        return f"published with K {number.K:g} ({number.value:g}), ours have {ours.K:g}"
    for name, column in (("lr", "learning_rate"), ("lambda", "weight")):
        said = re.search(rf"(?<!\w){name}=([0-9.]+)", number.settings)
        mine = ours[column]
        if said and pd.notna(mine) and float(said[1]) != mine:
            return f"published with {name} {said[1]} ({number.value:g}), ours have {mine:g}"
    return None


def difference(row: dict[str, Any]) -> dict[str, Any]:
    """Ours minus published in points, and whether both intervals allow it.

    Ours reaches as far as its interval does on the side of the published number. Without an
    interval there is no mark.
    """
    d = row["ours"] - row["published"]
    reach = row["ours"] - row["low"] if d > 0 else row["high"] - row["ours"]
    mark = WITHIN if abs(d) <= row["published_half"] + reach else ABOVE if d > 0 else BELOW
    return {"difference": 100 * d, "mark": None if np.isnan(reach) else mark}


def met(frames: Iterable[pd.DataFrame], models: Iterable[str]) -> tuple[int, int]:
    """(published numbers that ours meet, those compared) among these models."""
    marks = [frame.mark[frame.model.isin(list(models)) & frame.mark.notna()] for frame in frames]
    found = pd.concat(marks) if marks else pd.Series(dtype=str)
    return int((found == WITHIN).sum()), len(found)
