"""The report's curves as inline SVG whose colours follow the page's light or dark scheme."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_deepbayes.reporting.html_report import as_svg
from tf_deepbayes.study.provenance import Table


@dataclasses.dataclass(frozen=True)
class Style:
    """How a model is drawn; colours of Okabe and Ito without yellow.

    Attributes:
        colour: in the SVG; its own for each model, so that the page can replace it.
        light, dark: on the page; orange, sky blue and purple are darker on white, for contrast.
        marker, sign: for matplotlib, and the same as text.
    """

    colour: str
    light: str
    dark: str
    marker: str
    sign: str
    dash: str = "-"


ASIDE = 0.012  # of the width: published marks stand side by side
TEXT, GRID = "#010101", "#020202"  # replaced by the page's own
STYLES = {
    "BNN": Style("#01fe01", "#767676", "#9a9a9a", "*", "★", ":"),
    "GFZ": Style("#01fe02", "#0072b2", "#4da3dc", "o", "●"),
    "GBZ": Style("#01fe03", "#d55e00", "#e8752a", "s", "■"),
    "GFY": Style("#01fe04", "#009e73", "#009e73", "^", "▲"),
    "GBY": Style("#01fe05", "#b0528a", "#cc79a7", "D", "◆"),
    "DFX": Style("#01fe06", "#a86f00", "#e69f00", "v", "▼", "--"),
    "DBX": Style("#01fe07", "#2e86b9", "#56b4e9", "P", "✚", "--"),
    "DFZ": Style("#01fe08", "#1c2733", "#e6ebf0", "X", "✖", "--"),
}
OTHER = STYLES["BNN"]


def style_of(model: str) -> Style:
    """The style of a model; variants have that of their family."""
    return STYLES.get(model.split("_")[0], OTHER)


def variable(model: str) -> str:
    """The page's variable with the model's colour."""
    family = model.split("_")[0]
    return f"--{family if family in STYLES else 'BNN'}"


def svg(figure: Figure, label: str) -> str:
    """A figure as inline SVG with a text for those who do not see it."""
    text = as_svg(figure)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for model, style in STYLES.items():
        text = text.replace(style.colour, f"var({variable(model)})")
    text = text.replace(TEXT, "currentColor").replace(GRID, "var(--line)")
    text = re.sub(r"\s*\n\s*", "\n", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


def settings() -> Any:
    """Text as text, and colours that the page replaces."""
    colours = {
        name: TEXT
        for name in (
            "text.color",
            "axes.labelcolor",
            "axes.edgecolor",
            "xtick.color",
            "ytick.color",
        )
    }
    more = {"svg.fonttype": "none", "grid.color": GRID, "font.size": 10.0}
    return matplotlib.rc_context(colours | more)


def curves(table: Table, frame: pd.DataFrame, error: bool = False) -> str:
    """Accuracy (or error rate) against the size: ours as lines with 95% bands, published hollow.

    Args:
        frame: the table's comparison.
    """
    frame = frame.assign(x=frame["size"].astype(float))
    frame = frame[frame.model.isin(set(frame[frame.ours.notna()].model))]
    models = list(frame.model.unique())
    step = ASIDE * (frame.x.max() - frame.x.min())
    with settings():
        figure, axes = _axes("error rate" if error else "accuracy")
        for number, model in enumerate(models):
            aside = step * (number - (len(models) - 1) / 2) if table.is_linf else 0.0
            part = frame[frame.model == model]
            _draw(axes, str(model), part.assign(aside=part.x + aside), error)
        if table.is_linf:
            axes.set_xlabel("ε (ℓ∞, pixels in [0, 1])")
        else:
            axes.set(xlabel="c", xscale="log")
        return svg(figure, spoken(table, frame, error))


def blank(width: float, height: float, **options: Any) -> tuple[Figure, Axes]:
    """A figure and its axes without a background, so that the page's own shows.

    Args:
        options: of `Figure`.
    """
    figure = Figure(figsize=(width, height), **options)
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    return figure, axes


def with_grid(axes: Axes) -> None:
    """Two spines and thin lines."""
    axes.grid(alpha=1.0, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _axes(label: str) -> tuple[Figure, Axes]:
    figure, axes = blank(4.2, 3.0)
    axes.set(ylabel=label, ylim=(-0.03, 1.03))
    with_grid(axes)
    return figure, axes


def _draw(axes: Axes, model: str, part: pd.DataFrame, error: bool) -> None:
    style = style_of(model)
    turn = (lambda values: 1 - values) if error else (lambda values: values)
    ours = part[part.ours.notna()].astype({"ours": float, "low": float, "high": float})
    for behind, rows in ours.groupby("behind"):
        alpha = 0.45 if behind else 1.0
        axes.plot(
            rows.x, turn(rows.ours), color=style.colour, linestyle=style.dash,
            marker=style.marker, markersize=5, linewidth=1.6, alpha=alpha,
        )  # fmt: skip
        axes.fill_between(
            rows.x, turn(rows.low), turn(rows.high), color=style.colour, alpha=0.14, linewidth=0
        )
    shown = part[part.published.notna()]
    axes.errorbar(
        shown.aside, turn(shown.published.astype(float)), shown.published_half.astype(float),
        linestyle="none", color=style.colour, marker=style.marker, markersize=7,
        markerfacecolor="none", elinewidth=1, capsize=2,
    )  # fmt: skip
    ports = part[part.reproduced.notna()]
    axes.plot(
        ports.aside, turn(ports.reproduced.astype(float)), linestyle="none", color=style.colour,
        marker="x", markersize=5,
    )  # fmt: skip


def spoken(table: Table, frame: pd.DataFrame, error: bool = False) -> str:
    """The numbers of the curves as a sentence."""
    what = "error rate" if error else "accuracy"
    parts = []
    for model, rows in frame[frame.ours.notna()].groupby("model", sort=False):
        told = ", ".join(
            f"{row['size']}: {1 - row.ours if error else row.ours:.3f}"
            for _, row in rows.iterrows()
        )
        parts.append(f"{model} {told}")
    return f"{table.title}, {what} at each {'ε' if table.is_linf else 'c'}. {'; '.join(parts)}."


def legend(models: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """(colour variable, sign, model with how its line is drawn)."""
    for model in models:
        style = style_of(model)
        dash = {"--": ", dashed", ":": ", dotted"}.get(style.dash, "")
        yield variable(model), style.sign, f"{model}{dash}"


def training_curves(histories: Sequence[tuple[str, pd.DataFrame]], column: str, label: str) -> str:
    """A column of history.csv against epochs, a line per run."""
    with settings():
        figure, axes = _axes(label)
        told = []
        for model, history in histories:
            rows = history[history[column].notna()]
            style = style_of(model)
            axes.plot(
                rows.epoch, rows[column], color=style.colour, linestyle=style.dash, linewidth=1.6,
                marker=style.marker, markersize=4, markevery=max(len(rows) // 8, 1),
            )  # fmt: skip
            if len(rows):
                told.append(f"{model} {rows[column].iloc[-1]:.3f} after {rows.epoch.iloc[-1]}")
        axes.set_xlabel("epochs")
        if column != "val_accuracy":
            axes.set_ylim(auto=True)
            axes.autoscale()
        return svg(figure, f"{label} against epochs: {'; '.join(told)}")
