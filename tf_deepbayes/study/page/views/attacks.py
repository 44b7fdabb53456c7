"""Accuracy under attack beside the published numbers."""

from typing import Any

import pandas as pd

from tf_deepbayes.reporting.text import count
from tf_deepbayes.study.comparison import FURTHER, clean_rows
from tf_deepbayes.study.page.tables import View, from_to, plus_minus, points, share
from tf_deepbayes.study.provenance import Table, common_epochs
from tf_deepbayes.study.results import Study, in_order
from tf_deepbayes.study.rows import WHITE_BOX

# How the page calls what the paper prints beside the accuracies.
CALLED = {"l2": "ℓ2 of wrong", "substitute_accuracy": "substitute"}
OTHER_IMAGES = (
    ". Published on the images that all models classify rightly, and ours on all, so that no "
    "difference is drawn; attack with --indices to compare"
)


def clean_table(study: Study, data: str) -> Table:
    """The clean accuracy of a data set's models as a table without a size.

    Models that were attacked with other images, K, noise or draws alone are left out.
    """
    rows = clean_rows(study, data).assign(size=0.0, steps=None, learning_rate=None)
    attacked = study.attacks[(study.attacks.data == data) & (study.attacks.threat == WHITE_BOX)]
    absent = ", ".join(sorted({*attacked.model} - {*rows.model}, key=in_order))
    return Table(data, "clean", "clean", "", rows, left_out=(absent,) if absent else ())


def model_name(row: Any) -> str:
    """The model, with its own epochs where it stands apart."""
    if not row.behind:
        return str(row.model)
    epochs = "unknown" if pd.isna(row.epochs) else f"{row.epochs:g}"
    return f"{row.model} ({epochs} epochs)"


def head_of(study: Study, table: Table) -> str:
    """What all numbers of a table share: epochs, seeds, images, K, steps, draws."""
    rows, common = table.rows, common_epochs(study, table.data)
    asked = rows.asked.dropna()
    of = f" of {asked.max():g}" if len(asked) else ""
    seeds = rows.seed.nunique()
    parts = [f"{common:g}{of} epochs", count(seeds, "seed")]
    parts.append(f"{values_of(rows.n)} images")
    parts += [f"K = {values_of(rows.K)}", f"{values_of(rows.noise)} noise"]
    if rows.steps.notna().any():
        parts.append(f"{values_of(rows.steps.dropna().astype(int))} steps")
    if rows.draws.notna().any():
        parts.append(f"{values_of(rows.draws.dropna().astype(int))} draws")
    return "; ".join([", ".join(parts), *_warmed_up(study, table)])


def _warmed_up(study: Study, table: Table) -> list[str]:
    """Which models of a table were trained with a KL warm-up, which the paper does not have."""
    runs = study.runs[(study.runs.data == table.data) & (study.runs.warm_up > 0)]
    runs = runs[runs.model.isin(table.rows.model)].drop_duplicates(["model", "warm_up"])
    return [f"{r.model} trained with a KL warm-up of {r.warm_up} steps" for r in runs.itertuples()]


def values_of(column: pd.Series) -> str:
    """The values of a column, each once."""
    return ", ".join(f"{value}" for value in sorted(set(column)))


def comparison_view(study: Study, table: Table, frame: pd.DataFrame) -> View:
    """published | reproduced | ours ± 95% | difference."""
    size = "ε" if table.is_linf else "c"
    ours = zip(frame.ours, frame.low, frame.high, strict=True)
    texts = {
        "model": [model_name(row) for row in frame.itertuples()],
        size: frame["size"],
        "published": published_texts(frame.published, frame.refused),
        "reproduced": [from_to(r.reproduced, r.reproduced_high) for r in frame.itertuples()],
        "ours ± 95%": [plus_minus(*values) for values in ours],
        "difference": [points(row.difference, row.mark) for row in frame.itertuples()],
    }
    if table.attack == "clean":
        del texts[size]
    more = [name for name in FURTHER if frame[f"{name}_published_source"].notna().any()]
    for name in more:
        beside = frame[f"{name}_published"], frame[f"{name}_refused"]
        texts[f"{CALLED[name]}: published"] = published_texts(*beside)
        texts[f"{CALLED[name]}: ours"] = frame[name].map(share)
    note = head_of(study, table)
    if table.left_out:
        note += f". Not in this table, for other settings: {'; '.join(table.left_out)}"
    if frame.other_images.any():
        note += OTHER_IMAGES
    title = f"Clean accuracy on {table.data}" if table.attack == "clean" else table.title
    return View(
        *(table.id, title, frame, pd.DataFrame(texts), note),
        links={"ours ± 95%": "results"},
        titles={"published": "published_title", "reproduced": "reproduced_source"}
        | {f"{CALLED[name]}: published": f"{name}_published_title" for name in more},
        grey="behind",
    )


def published_texts(published: pd.Series, refused: pd.Series) -> list[str]:
    """Published numbers, or that one is of other settings."""
    pairs = zip(published, refused, strict=True)
    return ["refused" if isinstance(why, str) else share(value) for value, why in pairs]


def refused_view(table: Table) -> View:
    """A table that would mix what must not be mixed."""
    empty = pd.DataFrame({"differs": list(table.refused)})
    return View(table.id, table.title, empty, empty, refused=table.refused)
