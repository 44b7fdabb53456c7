"""Robustness taken apart: its parts, the budgets that it was asked with, and what noise gives."""

import collections
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from tf_deepbayes.reporting.decomposition.figure import COLOURS
from tf_deepbayes.study.page.figures import TEXT, blank, settings, svg
from tf_deepbayes.study.page.pictures import Picture
from tf_deepbayes.study.page.tables import View, plus_minus, share
from tf_deepbayes.study.results import Study, in_order
from tf_deepbayes.study.rows import share as share_of
from tf_deepbayes.study.rows import whole

SMALLEST_TEXT = 0.06  # share whose number still fits into its bar


def taken_apart(study: Study) -> list[dict[str, Any]]:
    """The evaluations that took the robustness apart, by data set, size and model."""
    found = []
    for run, path, figures in study.evaluations():
        if (apart := figures.get("decomposition")) is None:
            continue
        with whole(path):
            row = {"data": run.data, "model": run.model, "name": path.stem, "eps": apart["eps"]}
            row |= {"path": str(path.relative_to(study.root)), "apart": apart}
            row["strongest"] = _strongest(figures["worst_case"].get("first_broken_by") or ())
        found.append(row)
    order = lambda row: (row["data"], float(row["eps"]), in_order(str(row["model"])))  # noqa: E731
    return sorted(found, key=order)


def _strongest(first_broken_by: Sequence[str | None]) -> str:
    """How many images each attack broke first, the most in front."""
    counts = collections.Counter(name for name in first_broken_by if name is not None)
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"


def parts_view(study: Study) -> View | None:
    """The parts that add up to 1, and the verdict; None if nothing was taken apart."""
    rows = []
    for one in taken_apart(study):
        with whole(one["path"]):
            parts = one["apart"]["decomposition"]
            row = {name: one[name] for name in ("model", "data", "name", "eps", "path")}
            row |= {"images": int(parts["num_images"]), "verdict": parts["verdict"]}
            row |= {"reported": share_of(parts["reported"]), "strongest": one["strongest"]}
            for name in COLOURS:
                found = parts["parts"].get(name, {"share": None, "interval": (None, None)})
                row |= {name: found["share"]}
                row |= dict(zip((f"{name} low", f"{name} high"), found["interval"], strict=True))
        rows.append(row)
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    shown: dict[str, Any] = {
        "model": frame.model,
        "data": frame.data,
        "ε": frame.eps.map("{:g}".format),
    }
    shown["images"] = frame.images.map(str)
    for name in COLOURS:
        ends = zip(frame[name], frame[f"{name} low"], frame[f"{name} high"], strict=True)
        shown[name] = [plus_minus(*values) for values in ends]
    shown |= {"usually reported": frame.reported.map(share), "verdict": frame.verdict}
    shown["images broken first by"] = frame.strongest
    note = (
        "Each image in a chain of worlds, each worse for it than the last: wrong without an attack "
        "for K to infinity; only in a call's draws; under PGD on the published loss; only if the "
        "noise is known; only for K to infinity; only under other losses and attacks; never. The "
        "verdict names what most of the reported robust accuracy is"
    )
    links = {"verdict": "path"}
    return View("parts", "Robust accuracy in parts", frame, pd.DataFrame(shown), note, links)


def budgets_view(study: Study) -> View | None:
    """Robust accuracy against each budget, with what is said of its last doubling."""
    rows = []
    for one in taken_apart(study):
        with whole(one["path"]):
            for curve in one["apart"]["curves"]:
                if curve["left_out"]:
                    continue
                points = zip(curve["sizes"], curve["robust"], strict=True)
                row = {name: one[name] for name in ("model", "data", "eps", "path")}
                row |= {"budget": curve["name"], "verdict": curve["verdict"]}
                row["robust"] = ", ".join(f"{size}: {share(value)}" for size, value in points)
                rows.append(row)
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    shown = {"model": frame.model, "data": frame.data, "ε": frame.eps.map("{:g}".format)}
    shown |= {"budget": frame.budget, "robust accuracy": frame.robust, "verdict": frame.verdict}
    title = "Robust accuracy against the budget of the attack"
    links = {"verdict": "path"}
    return View("budgets", title, frame, pd.DataFrame(shown), links=links)


def noise_view(study: Study) -> View | None:
    """What submitting an image again gives an attacker, and a majority vote the classifier."""
    rows = []
    for one in taken_apart(study):
        with whole(one["path"]):
            found = one["apart"]["resubmission"]
            own = {name: one[name] for name in ("model", "data", "eps", "path")}
            for row in found["submissions"] if found["draws"] > 1 else ():
                what = f"one of {row['n']} submissions succeeds"
                rows.append({**own, "what": what, "chance": row["success"], **_ends(row)})
            for row in found["votes"] if found["draws"] > 1 else ():
                what = f"a vote of {row['m']} draws is right"
                rows.append({**own, "what": what, "chance": row["accuracy"], **_ends(row)})
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    shown: dict[str, Any] = {
        "model": frame.model,
        "data": frame.data,
        "ε": frame.eps.map("{:g}".format),
    }
    shown["worst images"] = frame.what
    shown["chance ± 95%"] = [plus_minus(r.chance, r.low, r.high) for r in frame.itertuples()]
    title = "The worst images again: resubmission and vote"
    links = {"chance ± 95%": "path"}
    return View("resubmission", title, frame, pd.DataFrame(shown), links=links)


def stacks(study: Study) -> Iterator[Picture]:
    """For each data set and size the parts of every model as a bar."""
    found = taken_apart(study)
    for data, eps in dict.fromkeys((one["data"], one["eps"]) for one in found):
        rows = [one for one in found if (one["data"], one["eps"]) == (data, eps)]
        title = f"Robust accuracy in parts: {data}, ε = {eps:g}"
        yield title, _stack(rows, title)


def _stack(rows: list[dict[str, Any]], title: str) -> str:
    told = []
    with settings():
        figure, axes = blank(6.4, 0.42 * len(rows) + 1.3, layout="constrained")
        for y, one in enumerate(rows):
            left, parts = 0.0, one["apart"]["decomposition"]["parts"]
            for name in (name for name in COLOURS if name in parts):
                width = max(float(parts[name]["share"]), 0.0)
                label = name if name not in axes.get_legend_handles_labels()[1] else None
                axes.barh(y, width, 0.7, left, color=COLOURS[name], alpha=0.75, label=label)
                if width >= SMALLEST_TEXT:
                    middle = left + width / 2
                    axes.text(middle, y, f"{width:.2f}", ha="center", va="center", color=TEXT)
                left += width
            shares = ", ".join(f"{name} {share(part['share'])}" for name, part in parts.items())
            told.append(f"{one['model']}: {shares}")
        axes.set_yticks(range(len(rows)), [str(one["model"]) for one in rows])
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), xlabel="share of images")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(ncols=4, loc="outside upper left", frameon=False)
        return svg(figure, f"{title}. {'; '.join(told)}.")


def _ends(row: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(("low", "high"), row["interval"], strict=True))
