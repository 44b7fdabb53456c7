"""The curves of a study as a figure."""

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

STYLES = {"fgsm": "--", "pgd": "-"}


class Curve(NamedTuple):
    """Shares of images at each ε.

    Attributes:
        eps: in ascending order.
        success: success rates of the attack.
        undetected: images that are misclassified and that the best detector misses.
    """

    eps: list[float]
    success: list[float]
    undetected: list[float]


def study_figure(curves: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Success against ε and what no detector catches, one panel per model.

    Args:
        curves: {model: {attack: curve}}, attacks of `STYLES`.
    """
    figure = Figure(figsize=(2.2 * len(curves), 2.6))
    axes = figure.subplots(1, len(curves), sharey=True, squeeze=False)
    for axis, (model, attacks) in zip(axes[0], curves.items(), strict=True):
        for attack, curve in attacks.items():
            _draw(axis, attack, curve)
        axis.set(title=model, xlabel="ε (l∞)", ylim=(-0.03, 1.03))
    axes[0, 0].set_ylabel("share of images")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    return figure


def _draw(axis: Axes, attack: str, curve: Curve) -> None:
    style, label = STYLES[attack], attack.upper()
    axis.plot(curve.eps, curve.success, f"C0o{style}", label=label, markersize=3)
    axis.plot(curve.eps, curve.undetected, f"C3s{style}", label=f"{label}, undetected", ms=3)
