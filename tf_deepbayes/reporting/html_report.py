"""Results → one self-contained HTML page: a pure function of JSON results and pictures."""

import base64
import io
import itertools
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.metrics import confidence_interval

matplotlib.rcParams["svg.hashsalt"] = "tf_deepbayes"  # the same results give the same file
COLOURS = ("#1b6ca8", "#c8553d", "#2a9d5c", "#8a5fbf", "#b58900", "#5c6b73", "#d33682")


def as_svg(figure: Figure) -> str:
    """A figure as inline SVG."""
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def as_png(figure: Figure, dpi: float = 110.0) -> str:
    """A figure as a data address."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=dpi, bbox_inches="tight", pil_kwargs={"optimize": True})
    return "data:image/png;base64," + base64.b64encode(raw.getvalue()).decode()


def accuracy_curves(attacks: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Accuracy against ε with 95% intervals: {model: attack results, one per ε}."""
    figure = Figure(figsize=(6, 3.6))
    axes = figure.subplots()
    for colour, (model, runs) in zip(itertools.cycle(COLOURS), attacks.items(), strict=False):
        runs = sorted(runs, key=lambda run: run["settings"]["eps"])
        first = runs[0]["figures"]
        eps = np.array([0.0] + [run["settings"]["eps"] for run in runs])
        share = np.array([first["clean_accuracy"]] + [run["figures"]["accuracy"] for run in runs])
        ends = [confidence_interval(one, first["num_images"]) or (0.0, 1.0) for one in share]
        error = np.abs(np.transpose(ends) - share)
        axes.errorbar(eps, share, error, label=model, color=colour, marker="o", capsize=3)
    axes.set(xlabel="ε (l∞, pixels in [0, 1])", ylabel="accuracy", ylim=(-0.02, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return as_svg(figure)


def picture_grid(
    rows: Sequence[Array],
    row_labels: Sequence[str],
    titles: Sequence[Sequence[str]] | None = None,
    frames: Sequence[Sequence[str]] | None = None,
    dpi: float = 110.0,
) -> str:
    """Rows of images `[N, H, W, channels]` with a label per row, a title and a frame per image.

    Args:
        frames: the colour of each image's frame.
    """
    columns = len(rows[0])
    figure = Figure(figsize=(0.85 * columns + 1.2, 1.05 * len(rows)))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for i, (images, label) in enumerate(zip(rows, row_labels, strict=True)):
        for j, image in enumerate(images):
            axes[i, j].imshow(image.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes[i, j].set(xticks=[], yticks=[])
            if titles is not None:
                axes[i, j].set_title(titles[i][j], fontsize=8, pad=2)
            if frames is not None:
                for spine in axes[i, j].spines.values():
                    spine.set(color=frames[i][j], linewidth=2)
        axes[i, 0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    return as_png(figure, dpi)


def attack_grid(
    clean: Array, saved: Sequence[tuple[str, dict[str, Array]]], count: int = 10
) -> str:
    """Clean images and the same images attacked; each title is the predicted class.

    Args:
        clean: clean images `[N, …]`, in the order of the saved attacks.
        saved: (row label, arrays of a saved attack).
    """
    first = saved[0][1]
    rows, labels = [clean[:count]], ["clean"]
    titles = [_titles(first["clean_logits"][:count], first["labels"][:count])]
    for label, arrays in saved:
        rows.append(arrays["adversarial"][:count])
        labels.append(label)
        titles.append(_titles(arrays["adversarial_logits"][:count], arrays["labels"][:count]))
    return picture_grid(rows, labels, titles)


def _titles(logits: Array, labels: Array) -> list[str]:
    return [
        f"{p}" if p == y else f"{p} (is {y})" for p, y in zip(logits.argmax(1), labels, strict=True)
    ]


def render(title: str, context: Mapping[str, Any]) -> str:
    """The page; see `report.html` for what the context holds."""
    template = resources.files("tf_deepbayes.reporting").joinpath("report.html").read_text()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["rate"] = lambda value: "–" if value is None else f"{100 * value:.1f}%"
    return environment.from_string(template).render(title=title, **context)
