"""The smallest perturbations that fool, and the images that none fools, beside the paper's."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from tf_deepbayes.study.claims.access import LARGEST
from tf_deepbayes.study.claims.accuracy import smallest_of_draws
from tf_deepbayes.study.claims.cells import LINF, Results, sizes
from tf_deepbayes.study.comparison import of_model, of_table, printed
from tf_deepbayes.study.page.tables import View, share
from tf_deepbayes.study.page.views.attacks import published_texts
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
    shown: dict[str, Any] = {"model": frame.model, "attack": frame.attack, "sizes": frame.sizes}
    for column, name in names.items():
        beside = frame[f"{column}_published"], frame[f"{column}_refused"]
        shown[f"{name}: published"] = published_texts(*beside)
        shown[f"{name}: ours"] = frame[column].map(share)
    note = (
        "Over the sizes that were run; an image that no size fools counts as the largest + 0.1. "
        "Published means and medians are over the paper's five sizes; they stand here where ours "
        "are over the same"
    )
    return View(
        *(f"{data}_smallest", f"Smallest ε that fools, {data}", frame, pd.DataFrame(shown), note),
        {f"{name}: ours": "results" for name in names.values()},
        {f"{name}: published": f"{column}_published_title" for column, name in names.items()},
    )


def _row(
    results: Results, table: Table, model: str, published: pd.DataFrame
) -> dict[str, Any] | None:
    """One model under one attack; None where the outcomes cannot be told."""
    cell = table.rows[table.rows.model == model]
    own, asked = dataclasses.replace(table, rows=cell), GRIDS.get(table.data, ())
    if asked and set(asked) < set(sizes(own)):  # further sizes would change the mean
        own = dataclasses.replace(table, rows=cell[cell["size"].isin(asked)])
    grid = sizes(own)
    found = smallest_of_draws(results, own, [model])
    if isinstance(found, str):
        return None
    smallest = found.array[..., 0]  # [draws, S, N]
    per_image = smallest.mean(0)
    largest = LARGEST.get(table.data)
    up_to = [size for size in asked if largest and size <= largest]
    numbers = of_table(published, table)
    row = {
        "model": model,
        **{"threat": table.threat, "name": table.attack, "largest": largest},
        "attack": table.title.removesuffix(f" on {table.data}"),
        "sizes": f"{grid[0]:g}" if len(grid) == 1 else f"{len(grid)}: {grid[0]:g}–{grid[-1]:g}",
        "mean": float(per_image.mean()),
        "median": float(np.median(per_image)),
        "never": float((smallest > largest).mean()) if {*up_to} <= {*grid} and largest else np.nan,
        "images": per_image.shape[1],
        "results": " ".join(cell.path),
    }
    for column, quantity in QUANTITIES.items():
        never = column == "never"
        size = float(largest or 0.0) if never else 0.0  # means and medians are over all sizes
        said = of_model(numbers[numbers.quantity == quantity], model, cell, size)
        whole = set(up_to if never else asked) <= set(grid)
        row |= printed(said if whole else said.iloc[:0], cell, f"{column}_")
    return row
