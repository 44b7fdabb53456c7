"""The smallest perturbations that fool, and the images that none fools, beside the paper's."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from tf_deepbayes.study.claims.access import LARGEST
from tf_deepbayes.study.claims.accuracy import smallest_of_draws
from tf_deepbayes.study.claims.cells import LINF, Results, sizes
from tf_deepbayes.study.comparison import of_table, printed
from tf_deepbayes.study.page.tables import View, share
from tf_deepbayes.study.provenance import Table
from tf_deepbayes.study.results import in_order
from tf_deepbayes.study.rows import BLACK_BOX, GREY_BOX, WHITE_BOX

# The paper's sizes.
GRIDS = {"mnist": (0.1, 0.2, 0.3, 0.4, 0.5), "plane_frog": (0.01, 0.02, 0.05, 0.1, 0.2)}
# Columns of the table, and what the paper calls them.
QUANTITIES = {
    "mean": "mean_min_perturbation",
    "median": "median_min_perturbation",
    "never": "accuracy_under_all_up_to",
}


def smallest_view(results: Results, data: str, published: pd.DataFrame) -> View | None:
    """The mean and median smallest ε that fools each model, and the share of images that none does.

    None without any.
    """
    tables = [
        table
        for threat in (WHITE_BOX, GREY_BOX, BLACK_BOX)
        for table in results.drawn(data, LINF, threat)
        if isinstance(table, Table)
    ]
    rows = [
        row
        for table in tables
        for model in sorted(set(table.rows.model), key=in_order)
        if (row := _row(results, table, model, published))
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    largest = LARGEST.get(data)
    names = {"mean": "mean", "median": "median"}
    names |= {"never": f"never fooled, ε ≤ {largest:g}"} if largest else {}
    shown = {"model": frame.model, "attack": frame.attack}
    for column, name in names.items():
        shown[f"{name}: published"] = frame[f"{column}_published"].map(share)
        shown[f"{name}: ours"] = frame[column].map(share)
    note = (
        "Over the sizes that were run; an image that no size fools counts as the largest + 0.1. "
        "Published means and medians are over the paper's five sizes; they stand here where ours "
        "are over the same"
    )
    return View(
        *(f"{data}_smallest", f"Smallest ε that fools, {data}", frame, pd.DataFrame(shown), note),
        {f"{name}: ours": "results" for name in names.values()},
        {f"{name}: published": f"{column}_source" for column, name in names.items()},
    )


def _row(
    results: Results, table: Table, model: str, published: pd.DataFrame
) -> dict[str, Any] | None:
    """One model under one attack; None where the outcomes cannot be told."""
    cell = table.rows[table.rows.model == model]
    own = dataclasses.replace(table, rows=cell)  # the sizes that this model was attacked at
    found = smallest_of_draws(results, own, [model])
    if isinstance(found, str):
        return None
    smallest = found.array[..., 0]  # [draws, S, N]
    largest = LARGEST.get(table.data, np.inf)
    per_image = smallest.mean(0)
    row = {
        "model": model,
        **{"threat": table.threat, "name": table.attack, "largest": largest},
        "attack": table.title.removesuffix(f" on {table.data}"),
        "mean": float(per_image.mean()),
        "median": float(np.median(per_image)),
        "never": float((smallest > largest).mean()),
        "images": per_image.shape[1],
        "results": " ".join(cell.path),
    }
    numbers, grid = of_table(published, table), sizes(own)
    for column, quantity in QUANTITIES.items():
        highest = largest if column == "never" else np.inf
        missed = {size for size in GRIDS.get(table.data, ()) if size <= highest} - set(grid)
        said = numbers[(numbers.quantity == quantity) & (numbers.model == model)]
        beside = printed(said.iloc[:0] if missed else said, cell)
        row[f"{column}_published"] = beside["published"]
        row[f"{column}_source"] = beside["published_source"]
    return row
