"""The rows of a study's markdown tables: one training, attack or evaluation each."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_deepbayes.reporting.text import format_share

Row = Mapping[str, Any]
DETECTORS = ("marginal", "logit", "kl", "tv")
TRAINING_HEAD = ("model", "epochs", "minutes", "bound, nats", "validation accuracy")
ATTACK_HEAD = (
    *("model", "attack", "images", "accuracy", "under attack", "success (95%)", "in every draw"),
    *("l2", "zero gradients", "clean changes"),
    *(f"{name} detects" for name in DETECTORS),
    *("undetected", "seconds"),
)
EVALUATION_HEAD = (
    *("model", "evaluation", "images", "accuracy", "noise alone", "robust accuracy (95%)"),
    *("strongest attack", "failed checks", "seconds"),
)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; empty without rows."""
    lines = [head, ["---"] * len(head), *rows] if rows else []
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def with_interval(share: float | None, interval: Sequence[float] | None) -> str:
    """.52 (.45–.59)"""
    if share is None or interval is None:
        return "–"
    return f"{share:.2f} ({interval[0]:.2f}–{interval[1]:.2f})"


def training_row(history: Sequence[Row]) -> list[str]:
    """Epochs, minutes, last bound, last validation accuracy.

    Args:
        history: rows of `history.csv`, at least one.
    """
    minutes = sum(float(row["seconds"]) for row in history) / 60
    seen = [float(row["val_accuracy"]) for row in history if row.get("val_accuracy")]
    bound = f"{float(history[-1]['bound']):.2f}"
    return [str(len(history)), f"{minutes:.0f}", bound, format_share(seen[-1] if seen else None)]


def attack_row(figures: Row, detected: Mapping[str, Row]) -> list[str]:
    """The figures of one attack and of the detectors on it.

    Args:
        figures: those of the attack's result.
        detected: {detector: its figures}; may be empty.
    """
    rates = [
        format_share(detected[d]["detection_rate"]) if d in detected else "–" for d in DETECTORS
    ]
    return [
        str(figures["num_images"]),
        format_share(figures["clean_accuracy"]),
        format_share(figures["accuracy"]),
        with_interval(figures["success_rate"], figures["success_rate_interval"]),
        format_share(figures["success_in_every_draw"]),
        f"{figures['perturbation']['l2']['mean']:.2f}",
        format_share(figures["zero_gradients"]),
        format_share(figures["clean_prediction_changes"]),
        *rates,
        format_share(undetected_share(detected)),
        f"{figures['seconds']:.0f}",
    ]


def undetected_share(detected: Mapping[str, Row]) -> float | None:
    """Images misclassified and not rejected by the best detector; None without detectors."""
    return min((row["misclassified_undetected"] for row in detected.values()), default=None)


def strongest_attack(figures: Mapping[str, Any]) -> str:
    """The attack that leaves the lowest robust accuracy.

    Where attacks were run on the images that earlier ones left, an attack's robust accuracy is that
    of all so far; there it is the attack that broke most images first.
    """
    components = figures["components"]
    if not any("attacked" in row for row in components):
        return str(min(components, key=lambda row: float(row["robust_accuracy"]))["name"])
    names = [row["name"] for row in components]
    broken = [name for name in figures["worst_case"]["first_broken_by"] if name in names]
    return str(max(names, key=broken.count)) if broken else "none"


def evaluation_row(figures: Row) -> list[str]:
    """The worst case of each image, the strongest single attack, and the checks that failed."""
    worst, noise = figures["worst_case"], figures["unperturbed"]
    strongest = strongest_attack(figures)
    left = {row["name"]: f" {row['robust_accuracy']:.2f}" for row in figures["components"]}
    failed = [check["name"] for check in figures["checks"] if check["verdict"] == "FAIL"]
    return [
        str(worst["num_images"]),
        format_share(worst["clean_accuracy"]),
        format_share(noise["robust_accuracy"]),
        with_interval(worst["robust_accuracy"], worst["robust_accuracy_interval"]),
        strongest + left.get(strongest, ""),
        "; ".join(failed) or "none",
        f"{sum(row['seconds'] for row in figures['components']):.0f}",
    ]


def component_table(evaluations: Sequence[tuple[str, str, Mapping[str, float]]]) -> str:
    """The robust accuracy under each attack of the evaluations, a column for each attack.

    Args:
        evaluations: (model, name of the evaluation, {attack: robust accuracy}).
    """
    names = list(dict.fromkeys(name for *_, found in evaluations for name in found))
    cells = [
        [model, evaluation, *(format_share(found.get(name)) for name in names)]
        for model, evaluation, found in evaluations
    ]
    return markdown_table(["model", "evaluation", *names], cells)
