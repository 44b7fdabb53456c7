"""ROC curves as a figure."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from tf_deepbayes.core.files import write_atomically
from tf_deepbayes.reporting.html_report import COLOURS

PANELS = {
    "all": "all attacked images",
    "successful": "successful attacks\n(dots: the fitted thresholds)",
}


def roc_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """The curves of all detectors, one panel for each kind of attacked images.

    Args:
        rows: `detection_figures` of each detector. A dot is what the fitted thresholds reach.
    """
    figure = Figure(figsize=(9.0, 5.2), layout="constrained")
    for axes, (kind, label) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="0.7", linestyle=":", linewidth=1)
        for colour, row in zip(COLOURS, rows, strict=False):
            if row["roc"][kind] is not None:
                _curve(axes, row, kind, colour)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, loc="lower right", title="AUROC")
        axes.set(
            title=f"Clean images against {label}", xlabel="false-positive rate on clean images"
        )
        axes.set(ylabel="detection rate", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


def _curve(axes: Any, row: Mapping[str, Any], kind: str, colour: str) -> None:
    points = row["roc"][kind]
    label = f"{row['detector']} {row['auroc'][kind]:.3f}"
    axes.plot(points["false_positive_rate"], points["detection_rate"], color=colour, label=label)
    if kind == "successful":
        axes.plot(row["false_positive_rate"], row["detection_rate"], "o", color=colour)


def write_roc_figure(path: pathlib.Path, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Write the picture as PNG, atomically."""
    figure = roc_figure(rows, title)
    write_atomically(
        path, lambda file: figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
    )
