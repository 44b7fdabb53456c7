"""The figures of an evaluation as text for a terminal."""

import collections
from collections.abc import Iterator, Mapping
from typing import Any

from tf_deepbayes.reporting.text import format_share


def table(figures: Mapping[str, Any]) -> str:
    """The worst case, a line per attack, attacks left out, a line per check."""
    return "\n".join([*_attacks(figures), "", *_left_out(figures), *_checks(figures)])


def attack_line(name: str, figures: Mapping[str, Any]) -> str:
    """One attack's line."""
    seconds = f"  {figures['seconds']:.0f} s" if "seconds" in figures else ""
    return (
        f"{name:24}  robust accuracy {figures['robust_accuracy']:.3f}"
        f"  success {format_share(figures['success_rate'])}"
        f"  in every draw {format_share(figures['success_in_every_draw'])}"
        f"  linf {figures['perturbation']['linf']['max']:.3f}{seconds}"
    )


def _attacks(figures: Mapping[str, Any]) -> Iterator[str]:
    worst = figures["worst_case"]
    low, high = worst["robust_accuracy_interval"]
    for row in (*figures["components"], figures["unperturbed"]):
        yield attack_line(row.get("name", "unperturbed"), row)
    yield attack_line("worst case of each image", worst)
    yield (
        f"robust accuracy {worst['robust_accuracy']:.3f}, 95% interval {low:.3f} to {high:.3f}, "
        f"of {worst['num_images']} images in {worst['draws']} fresh draws "
        f"(clean accuracy {worst['clean_accuracy']:.3f})"
    )


def _left_out(figures: Mapping[str, Any]) -> Iterator[str]:
    names = figures["worst_case"].get("first_broken_by", [])
    if names:
        counts = collections.Counter("none" if name is None else name for name in names)
        yield "first broken by: " + ", ".join(f"{name} {n}" for name, n in counts.most_common())
        yield ""
    if figures["left_out"]:
        yield "left out: " + "; ".join(f"{n} ({why})" for n, why in figures["left_out"].items())
        yield ""


def _checks(figures: Mapping[str, Any]) -> Iterator[str]:
    for check in figures["checks"]:
        (one, other), (first, second) = check["compared"], check["figures"]
        compared = f"{one}: {format_share(first)}, {other}: {format_share(second)}"
        noise = "" if check["tolerance"] is None else f" (tolerance {check['tolerance']:.3f})"
        if check.get("discordant"):
            only = "{} only the first, {} only the second, of {}".format(*check["discordant"])
            noise = f" ({only}, p {check['p_value']:.3f})"
        yield f"{check['verdict']:14}  {check['name']:28}  {compared}{noise}"
        if check["suggests"]:
            yield f"{'':14}  {check['suggests']}"
