"""Robustness taken apart: its parts, the budgets that it was asked with, and what noise gives."""

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from tf_deepbayes.reporting.decomposition.figure import COLOURS, drawn_sizes
from tf_deepbayes.reporting.text import count
from tf_deepbayes.study.page.figures import TEXT, blank, settings, svg
from tf_deepbayes.study.page.pictures import Picture
from tf_deepbayes.study.page.tables import View, plus_minus, share
from tf_deepbayes.study.results import Study, in_order
from tf_deepbayes.study.rows import noise_of, whole
from tf_deepbayes.study.rows import share as share_of

ALL = "all"  # attacks of the budget
SMALLEST_TEXT = 0.06  # share whose number still fits into its bar
# What a row is of: beside the model and ε how it was sampled, and with which attacks.
ABOUT = ("model", "data", "eps", "K", "noise", "attacks", "path")


def taken_apart(study: Study) -> list[dict[str, Any]]:
    """The evaluations that took the robustness apart, by data set, size and model."""
    found = []
    for run, path, asked, figures in study.evaluations():
        if (apart := figures.get("decomposition")) is None:
            continue
        with whole(path):
            row = {"data": run.data, "model": run.model, "name": path.stem, "eps": apart["eps"]}
            row |= {"path": str(path.relative_to(study.root)), "apart": apart}
            row |= {"K": asked.get("num_samples", "–"), "noise": noise_of(asked)}
            row["attacks"] = ", ".join(asked.get("attacks") or [ALL])
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
            row = {name: one[name] for name in (*ABOUT, "name")}
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
    shown = _about(frame) | {"images": frame.images.map(str)}
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
                row = {name: one[name] for name in ABOUT}
                row |= {"budget": curve["name"], "verdict": curve["verdict"]}
                row["robust"] = ", ".join(f"{size}: {share(value)}" for size, value in points)
                rows.append(row)
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    shown = _about(frame) | {"budget": frame.budget}
    shown |= {"robust accuracy": frame.robust, "verdict": frame.verdict}
    title = "Robust accuracy against the budget of the attack"
    links = {"verdict": "path"}
    return View("budgets", title, frame, pd.DataFrame(shown), links=links)


def noise_view(study: Study) -> View | None:
    """What submitting an image again gives an attacker, and a majority vote the classifier."""
    rows = []
    for one in taken_apart(study):
        with whole(one["path"]):
            found = one["apart"]["resubmission"]
            own = {name: one[name] for name in ABOUT}
            for row in found["submissions"] if found["draws"] > 1 else ():
                what = f"one of {row['n']} submissions succeeds"
                rows.append({**own, "what": what, "chance": row["success"], **_ends(row)})
            for row in found["votes"] if found["draws"] > 1 else ():
                what = f"a vote of {row['m']} draws is right"
                rows.append({**own, "what": what, "chance": row["accuracy"], **_ends(row)})
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    shown = _about(frame) | {"worst images": frame.what}
    shown["chance ± 95%"] = [plus_minus(r.chance, r.low, r.high) for r in frame.itertuples()]
    title = "The worst images again: resubmission and vote"
    links = {"chance ± 95%": "path"}
    return View("resubmission", title, frame, pd.DataFrame(shown), links=links)


def _about(frame: pd.DataFrame) -> dict[str, Any]:
    """The columns that tell the rows apart: one model may be taken apart more than once."""
    shown = {"model": frame.model, "data": frame.data, "ε": frame.eps.map("{:g}".format)}
    return shown | {"K": frame.K.map(str), "noise": frame.noise, "attacks": frame.attacks}


def stacks(study: Study) -> Iterator[Picture]:
    """For each data set and size the parts of every model as a bar."""
    found = taken_apart(study)
    for data, eps in dict.fromkeys((one["data"], one["eps"]) for one in found):
        rows = [one for one in found if (one["data"], one["eps"]) == (data, eps)]
        title = f"Robust accuracy in parts: {data}, ε = {eps:g}"
        yield title, _stack(rows, title)


def _labels(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The models; of a model that is there more than once also what tells its bars apart."""
    counts = collections.Counter(one["model"] for one in rows)
    return [_label(one) if counts[one["model"]] > 1 else str(one["model"]) for one in rows]


def _label(one: Mapping[str, Any]) -> str:
    chosen = 0 if one["attacks"] == ALL else len(one["attacks"].split(", "))
    attacks = f"{count(chosen, 'attack')} chosen" if chosen else "all attacks"
    return f"{one['model']}, K {one['K']}, {one['noise']}\n{attacks}"


def _stack(rows: list[dict[str, Any]], title: str) -> str:
    told, labels = [], _labels(rows)
    with settings():
        figure, axes = blank(6.4, 0.42 * len(rows) + 1.3, layout="constrained")
        for y, one in enumerate(rows):
            left, parts = 0.0, one["apart"]["decomposition"]["parts"]
            for name, width in drawn_sizes(parts).items():
                label = name if name not in axes.get_legend_handles_labels()[1] else None
                axes.barh(y, width, 0.7, left, color=COLOURS[name], alpha=0.75, label=label)
                if width >= SMALLEST_TEXT:
                    middle = left + width / 2
                    number = f"{parts[name]['share']:.2f}"
                    axes.text(middle, y, number, ha="center", va="center", color=TEXT)
                left += width
            shares = ", ".join(f"{name} {share(part['share'])}" for name, part in parts.items())
            told.append(f"{labels[y]}: {shares}".replace("\n", ", "))
        axes.set_yticks(range(len(rows)), labels)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), xlabel=f"share of images{_negative(rows)}")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(ncols=4, loc="outside upper left", frameon=False)
        return svg(figure, f"{title}. {'; '.join(told)}.")


def _negative(rows: Sequence[Mapping[str, Any]]) -> str:
    """The caption's end, where a bar has a part below 0."""
    parts = [part for one in rows for part in one["apart"]["decomposition"]["parts"].values()]
    below = any(part["share"] < 0 for part in parts)
    return "; a part below 0 is taken off the parts after it" if below else ""


def _ends(row: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(("low", "high"), row["interval"], strict=True))
