"""Figures as text."""

from collections.abc import Mapping
from typing import Any


def format_share(value: float | None) -> str:
    """A share with three decimals; a dash if there is none."""
    return "–" if value is None else f"{value:.3f}"


def count(number: int, noun: str) -> str:
    """Such as "1 seed" and "2 seeds"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def attack_line(eps: float, figures: Mapping[str, Any]) -> str:
    """An attack at one ε."""
    steps = f"  {figures['mean_steps']:.1f} steps" if "mean_steps" in figures else ""
    return (
        f"eps {eps:.3g}  success {format_share(figures['success_rate'])}"
        f"  accuracy {figures['clean_accuracy']:.3f} -> {figures['accuracy']:.3f}"
        f"  l2 {figures['perturbation']['l2']['mean']:.2f}"
        f"  zero gradients {figures['zero_gradients']:.3f}"
        f"  clean predictions that change {figures['clean_prediction_changes']:.3f}"
        f"{steps}  {figures['seconds']:.0f} s"
    )


def detection_line(row: Mapping[str, Any]) -> str:
    """A detector on an attack."""
    return (
        f"{row['detector']:9} detects {format_share(row['detection_rate'])} of "
        f"{row['successful_attacks']} successful attacks  "
        f"false positives {row['false_positive_rate']:.3f}  "
        f"misclassified and undetected {row['misclassified_undetected']:.3f}  "
        f"AUROC {format_share(row['auroc']['successful'])}, all {row['auroc']['all']:.3f}"
    )
