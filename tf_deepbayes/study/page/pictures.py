"""Pictures of detection and transfer: ROC curves, what evades a detector, a heat map."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tf_deepbayes.study.claims.cells import Results
from tf_deepbayes.study.claims.detection import detected
from tf_deepbayes.study.page.figures import (
    GRID,
    TEXT,
    blank,
    settings,
    style_of,
    svg,
    with_grid,
)
from tf_deepbayes.study.page.tables import View
from tf_deepbayes.study.provenance import SAMPLED, Table
from tf_deepbayes.study.results import in_order
from tf_deepbayes.study.rows import EVADED

Picture = tuple[str, str]  # (title, inline SVG)
DARKEST = 0.45  # of a cell's colour, so that its number is read in light and dark


def roc_curves(results: Results, table: Table) -> Iterator[Picture]:
    """A picture for each detector at the table's middle size, a line a model; none without curves.

    The curve is that of successful attacks against clean images.
    """
    sizes = sorted(table.rows["size"].unique())
    size = sizes[len(sizes) // 2]
    for detector in EVADED:
        found = detected(results, table, size, detector)
        rows = found[found.roc.notna() & (found.seed == 0)]
        if len(rows):
            where = f"{table.title}, {'ε' if table.is_linf else 'c'} = {size:g}"
            yield f"ROC of {detector}: {where}", _roc(rows, f"ROC of {detector} under {where}")


def _roc(rows: pd.DataFrame, label: str) -> str:
    with settings():
        figure, axes = _square("false positives on clean images", "successful attacks detected")
        axes.plot([0, 1], [0, 1], color=GRID, linewidth=1.0)
        told = []
        for row in sorted(rows.itertuples(), key=lambda row: in_order(str(row.model))):
            curve: Any = row.roc
            style = style_of(str(row.model))
            axes.plot(
                curve["false_positive_rate"], curve["detection_rate"], color=style.colour,
                linestyle=style.dash, linewidth=1.6, marker=style.marker, markevery=0.2,
                markersize=4,
            )  # fmt: skip
            told.append(f"{row.model} {row.auroc:.3f}")
        return svg(figure, f"{label}. Area under the curve: {', '.join(told)}.")


def evasion_planes(results: Results, data: str) -> Iterator[Picture]:
    """For each detector: accuracy and detection under WB+S (hollow) and past the detector (filled).

    An attack that breaks classifier and detector together is at the lower left.
    """
    before = _superwhite(results, data, "WB+S")
    for detector, threat in EVADED.items():
        after = _superwhite(results, data, threat)
        if before is None or after is None:
            continue
        for size in sorted(set(before.rows["size"]) & set(after.rows["size"])):
            pair = [detected(results, one, size, detector) for one in (before, after)]
            same = ["model", "seed", *SAMPLED]
            both = pair[0].merge(pair[1], on=same, suffixes=("", "_past"))
            both = both[both.rate.notna() & both.rate_past.notna() & (both.seed == 0)]
            if len(both):
                title = f"Past the {detector} detector: superwhite on {data}, ε = {size:g}"
                yield title, _plane(both, title)


def _superwhite(results: Results, data: str, threat: str) -> Table | None:
    tables = results.drawn(data, ["superwhite"], threat)
    return next((table for table in tables if isinstance(table, Table)), None)


def _plane(both: pd.DataFrame, title: str) -> str:
    with settings():
        figure, axes = _square("accuracy under attack", "successful attacks detected")
        told = []
        rows: list[Any] = sorted(both.itertuples(), key=lambda row: in_order(str(row.model)))
        for row in rows:
            style = style_of(str(row.model))
            accuracy, rate = (row.accuracy, row.accuracy_past), (row.rate, row.rate_past)
            axes.plot(accuracy, rate, color=style.colour, linewidth=1.2, linestyle=style.dash)
            for x, y, face in zip(accuracy, rate, ("none", style.colour), strict=True):
                axes.plot(
                    x, y, marker=style.marker, color=style.colour, markerfacecolor=face,
                    linestyle="none", markersize=7,
                )  # fmt: skip
            told.append(
                f"{row.model} accuracy {row.accuracy:.3f} to {row.accuracy_past:.3f}, "
                f"detected {row.rate:.3f} to {row.rate_past:.3f}"
            )
        return svg(figure, f"{title}, from WB+S to past the detector: {'; '.join(told)}.")


def heat_maps(transfer: View | None) -> Iterator[Picture]:
    """Accuracy of each model on the images attacked on each other model, a picture an attack."""
    if transfer is None:
        return
    known = transfer.frame[transfer.frame.accuracy.notna()]
    for (data, _), rows in known.groupby(["data", "name"], sort=False):
        title = (
            f"Accuracy on all attacked images of another model: {rows.in_words.iloc[0]} on {data}"
        )
        yield title, _heat_map(rows, title)


def _heat_map(rows: pd.DataFrame, title: str) -> str:
    attacked = sorted(set(rows.model), key=in_order)
    guards = sorted(set(rows.guard), key=in_order)
    values = rows.groupby(["model", "guard"], as_index=False).accuracy.mean()
    with settings():
        figure, axes = blank(0.62 * len(guards) + 1.4, 0.45 * len(attacked) + 1.0)
        told = []
        for row in values.itertuples():
            model, guard, value = str(row.model), str(row.guard), float(row.accuracy)  # type: ignore[arg-type]
            x, y = guards.index(guard), attacked.index(model)
            alpha = DARKEST * (1.0 - value)
            colour = style_of("GBZ").colour
            axes.add_patch(Rectangle((x, y), 1, 1, color=colour, alpha=alpha, linewidth=0))
            axes.text(x + 0.5, y + 0.5, f"{value:.2f}", ha="center", va="center", color=TEXT)
            told.append(f"{model} by {guard} {value:.3f}")
        _name(axes, guards, attacked)
        return svg(figure, f"{title}. {', '.join(told)}.")


def _name(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axes.set_xticks([i + 0.5 for i in range(len(columns))], columns)
    axes.set_yticks([i + 0.5 for i in range(len(rows))], rows)
    axes.set(xlabel="classified by", ylabel="attacked")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    figure, axes = blank(3.4, 3.2, layout="constrained")
    axes.set(xlabel=x, ylabel=y, xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    with_grid(axes)
    return figure, axes
