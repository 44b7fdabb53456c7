"""The report as one HTML file that asks no network for anything."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd

from tf_deepbayes.reporting.text import count
from tf_deepbayes.study.claims.verdicts import SIGNS, Verdict
from tf_deepbayes.study.page import figures
from tf_deepbayes.study.page.examples import Example
from tf_deepbayes.study.page.pictures import Picture
from tf_deepbayes.study.page.tables import View
from tf_deepbayes.study.provenance import Table
from tf_deepbayes.study.results import Study, in_order
from tf_deepbayes.training.journal import read_history

TEMPLATE = "study.html"
LONG = 60  # rows from which on a table is closed until it is asked for


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading with tables, and pictures before them."""

    id: str
    title: str
    views: Sequence[View]
    pictures: Sequence[Picture] = ()


@dataclasses.dataclass(frozen=True)
class Panel:
    """The curves of one attack: accuracy and error rate."""

    title: str
    table: str
    accuracy: str
    error: str


def panels(tables: Sequence[Table], frames: Mapping[str, pd.DataFrame]) -> list[Panel]:
    """Curves of every table that is drawn and has several sizes or models."""
    found = []
    for table in tables:
        if not table.refused:
            both = (figures.curves(table, frames[table.id], error) for error in (False, True))
            found.append(Panel(table.title, table.id, *both))
    return found


def training_figures(study: Study) -> list[tuple[str, str]]:
    """(title, curve) of the bound and the validation accuracy of each data set."""
    found = []
    for data, runs in study.runs.groupby("data"):
        histories = []
        for run in sorted(runs.itertuples(), key=lambda run: in_order(str(run.model))):
            rows = pd.DataFrame(read_history(study.root / str(run.folder)))
            if len(rows):
                histories.append((str(run.model), rows.apply(pd.to_numeric, errors="coerce")))
        for column, label in (("val_accuracy", "validation accuracy"), ("bound", "bound, nats")):
            own = [(m, h) for m, h in histories if column in h and h[column].notna().any()]
            if own:
                title = f"{label} on {data}"
                found.append((title, figures.training_curves(own, column, label)))
    return found


def sentence(study: Study) -> str:
    """What ran and how long, in one sentence."""
    runs, attacks = study.runs, study.attacks
    hours = (runs.seconds.sum() + attacks.seconds.sum()) / 3600
    data = ", ".join(sorted(set(runs.data)))
    images = f" on up to {attacks.n.max()} images each" if len(attacks) else ""
    trained = f"{count(len(runs), 'trained run')} of {count(runs.model.nunique(), 'model')}"
    met = f"{count(len(attacks), 'attack')}{images}"
    return f"{trained} on {data} met {met}, in {hours:.1f} hours of computing."


def render(
    title: str,
    study: Study,
    out: pathlib.Path,
    verdicts: Sequence[Verdict],
    sections: Sequence[Section],
    curves: Sequence[Panel],
    pictures: Sequence[Example],
    notes: Mapping[str, Any],
) -> str:
    """The page.

    Args:
        out: its folder, for links to results.
        notes: `published`, where the published numbers are from, or why there are none; `profile`,
            the text of the study's profile or None.
    """
    views = [view for section in sections for view in section.views]
    places = {view.id for view in views if not view.refused}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    base = os.path.relpath(study.root.resolve(), out.resolve())
    environment.filters["result"] = lambda path: quote(pathlib.PurePath(base, path).as_posix())
    template = resources.files("tf_deepbayes.study.page").joinpath(TEMPLATE).read_text()
    models = sorted({*study.runs.model}, key=in_order)
    return environment.from_string(template).render(
        title=title,
        sentence=sentence(study),
        verdicts=verdicts,
        signs=SIGNS,
        long=LONG,
        counts={word: sum(v.word == word for v in verdicts) for word in SIGNS},
        places=places,
        sections=sections,
        panels=curves,
        legend=list(figures.legend(models)),
        styles=figures.STYLES,
        training=training_figures(study),
        examples=pictures,
        notes=notes,
    )
