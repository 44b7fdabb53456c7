"""A standard evaluation as a picture: the accuracy that each attack leaves."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

CLEAN, ATTACK, WORST = "#9aa5b1", "#4c78a8", "#c44e52"


def robustness_figure(figures: Mapping[str, Any], title: str) -> Figure:
    """Bars of accuracy: clean, under each attack, and of the worst case with its 95% interval.

    Where each attack was run on what the others had left, a bar is of all attacks down to it.
    """
    worst = figures["worst_case"]
    rows = [("clean", worst["clean_accuracy"], CLEAN)]
    rows += [(r["name"], r["robust_accuracy"], ATTACK) for r in figures["components"]]
    rows.append(("worst case of each image", worst["robust_accuracy"], WORST))
    failed = [check["name"] for check in figures["checks"] if check["verdict"] == "FAIL"]
    figure = Figure(figsize=(7.5, 1.4 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    names, values, colours = zip(*rows, strict=True)
    axes.barh(range(len(rows)), values, color=colours)
    for row, share in enumerate(values):
        axes.text(1.02, row, f"{share:.3f}", va="center")
    low, high = worst["robust_accuracy_interval"]
    value, last = worst["robust_accuracy"], len(rows) - 1
    axes.errorbar(value, last, xerr=[[value - low], [high - value]], color="0.15", capsize=4)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.set(xlim=(0.0, 1.0), title=title)
    verdict = f"checks failed: {', '.join(failed)}" if failed else "all sanity checks passed"
    so_far = "under all attacks so far, " if "attacked" in figures["components"][0] else ""
    axes.set_xlabel(f"accuracy {so_far}of {worst['num_images']} images; {verdict}", wrap=True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
