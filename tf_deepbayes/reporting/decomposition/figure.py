"""Robustness taken apart, as a picture: stacked parts for each size, and the budget curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "clean error": "#4d4d4d",
    "noise alone": "#9aa5b1",
    "broken": "#c44e52",
    "known noise": "#e0a458",
    "many samples": "#ecd08f",
    "adaptive": "#8172b3",
    "margin": "#4c8c5a",
}


def decomposition_figure(found: Sequence[Mapping[str, Any]]) -> Figure:
    """Bars of the parts, one for each size of the perturbation; curves of the first, if any, too.

    Args:
        found: see `decompose`, one for each size.
    """
    drawn, wide = [one for one in found[0]["curves"] if not one["left_out"]], 1.0 + 0.4 * len(found)
    if not drawn:
        figure = Figure(figsize=(2.0 + 2.2 * wide, 4.2), layout="constrained")
        _stack(figure.subplots(), found)
        return figure
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    bars, curves = figure.subplots(1, 2, width_ratios=[wide, 2.5])
    _stack(bars, found)
    _draw_curves(curves, drawn)
    return figure


def _stack(axes: Axes, found: Sequence[Mapping[str, Any]]) -> None:
    names = [name for name in COLOURS if any(name in _parts(one) for one in found)]
    drawn, bottoms = [drawn_sizes(_parts(one)) for one in found], [0.0] * len(found)
    for name in names:
        heights = [one.get(name, 0.0) for one in drawn]
        axes.bar(range(len(found)), heights, bottom=bottoms, color=COLOURS[name], label=name)
        for row, (height, bottom) in enumerate(zip(heights, bottoms, strict=True)):
            if height >= 0.04:
                said = f"{_parts(found[row])[name]['share']:.2f}"
                axes.text(row, bottom + height / 2, said, ha="center", va="center", fontsize=8)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    axes.set_xticks(range(len(found)), [f"ε {one['eps']:g}" for one in found])
    axes.set(ylim=(0.0, 1.0), ylabel="share of images")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    axes.spines[["top", "right"]].set_visible(False)


def drawn_sizes(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """How large each part is drawn, so that a bar ends at the sum of the parts, 1.

    A part below 0, where an image was by chance better off in a world than in the one before, is
    taken off the parts after it.
    """
    sizes, end, total = {}, 0.0, 0.0
    for name in (name for name in COLOURS if name in parts):
        total += float(parts[name]["share"])
        sizes[name] = max(total - end, 0.0)
        end += sizes[name]
    return sizes


def _draw_curves(axes: Axes, curves: Sequence[Mapping[str, Any]]) -> None:
    for one in curves:
        steady = one["verdict"] == "saturated"
        style = "-" if steady else "--"
        axes.plot(one["sizes"], one["robust"], style, marker="o", markersize=3, label=one["name"])
    axes.set_xscale("log")
    axes.set(ylim=(0.0, 1.0), xlabel="size of the budget", ylabel="robust accuracy")
    axes.set_title("dashed: not shown to be saturated", fontsize=8)
    axes.legend(fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _parts(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return found["decomposition"]["parts"]
