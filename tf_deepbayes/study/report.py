"""The whole report: results → claims, tables and one page."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import write_text
from tf_deepbayes.runs.checkpoints import versions
from tf_deepbayes.study import provenance, published
from tf_deepbayes.study.claims import register
from tf_deepbayes.study.claims.cells import Results
from tf_deepbayes.study.claims.verdicts import NOT_TESTED, Verdict
from tf_deepbayes.study.comparison import compare
from tf_deepbayes.study.page import decomposed, html
from tf_deepbayes.study.page.examples import clean_images, examples
from tf_deepbayes.study.page.pictures import Picture, evasion_planes, heat_maps, roc_curves
from tf_deepbayes.study.page.tables import View
from tf_deepbayes.study.page.text import markdown, verdicts_page
from tf_deepbayes.study.page.views import attacks, details
from tf_deepbayes.study.page.views.detection import detection_view
from tf_deepbayes.study.page.views.sizes import smallest_view
from tf_deepbayes.study.page.views.transfer import transfer_view
from tf_deepbayes.study.provenance import Table
from tf_deepbayes.study.results import Study
from tf_deepbayes.study.rows import WHITE_BOX

TITLE = "Deep Bayes: the report of the study"
NO_PUBLISHED = "No published numbers were at hand, so no published columns are drawn (--published)."


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """The report of a folder of runs.

    Attributes:
        study: its results.
        published: folder of the published numbers; None: there are none to compare with.
        data_dir: folder of the data sets, for the clean images of examples.
        profile: text of the profile that the study was run with.
    """

    study: Study
    published: pathlib.Path | None = None
    data_dir: str | None = None
    profile: str | None = None

    @functools.cached_property
    def numbers(self) -> pd.DataFrame:
        """The published numbers; no rows without a folder."""
        found = published.published_numbers(self.published) if self.published else []
        return published.frame(found)

    @functools.cached_property
    def tables(self) -> list[Table]:
        """The tables of attacks, refused ones included."""
        return provenance.tables(self.study)

    @functools.cached_property
    def clean(self) -> list[Table]:
        """The clean accuracies, a table for each data set with attacks."""
        return [
            attacks.clean_table(self.study, data) for data in sorted(set(self.study.attacks.data))
        ]

    @functools.cached_property
    def frames(self) -> Mapping[str, pd.DataFrame]:
        """The comparison of each table that is drawn, by its id."""
        drawn = [table for table in (*self.clean, *self.tables) if not table.refused]
        return {table.id: compare(self.study, table, self.numbers) for table in drawn}

    @functools.cached_property
    def results(self) -> Results:
        """The results as claims ask for them."""
        return Results(self.study, [*self.clean, *self.tables])

    @functools.cached_property
    def verdicts(self) -> list[Verdict]:
        """What the results say of each claim."""
        return register.verdicts(self.results, self.frames)

    @functools.cached_property
    def sections(self) -> list[html.Section]:
        """All tables, by section."""
        accuracies = [self._comparison(table) for table in (*self.clean, *self.tables)]
        detection = [
            detection_view(self.results, table, self.numbers)
            for table in self.tables
            if not table.refused
        ]
        behind = [
            smallest_view(self.results, data, self.numbers)
            for data in sorted(set(self.study.attacks.data))
        ]
        transfer = transfer_view(self.study, self.numbers)
        behind += [details.evaluations_view(self.study), transfer]
        behind.append(details.adaptive_view(self.study))
        behind.append(details.attacks_view(self.study))
        apart = [decomposed.parts_view, decomposed.budgets_view, decomposed.noise_view]
        parts = _there([view(self.study) for view in apart])
        training = [details.training_view(self.study), details.cost_view(self.study)]
        found = [
            html.Section("tables", "Tables", accuracies),
            html.Section("detection", "Detection", _there(detection), self._detection_pictures()),
            html.Section("apart", "Taken apart", parts, list(decomposed.stacks(self.study))),
            html.Section("details", "Details", _there(behind), list(heat_maps(transfer))),
            html.Section("training-and-cost", "Training and cost", training),
            html.Section("provenance-of-runs", "Provenance", [details.provenance_view(self.study)]),
        ]
        return [section for section in found if section.views or section.id != "apart"]

    def write(self, out: pathlib.Path) -> None:
        """Write index.html, report.md, verdicts.md and tables/."""
        page = html.render(
            TITLE,
            self.study,
            out,
            self.verdicts,
            self.sections,
            html.panels(self.tables, self.frames),
            examples(self.study, self.tables, clean_images(self.data_dir)),
            {
                "published": self._source(),
                "profile": self.profile,
                "made_by": f"Made by tf_deepbayes {versions()['tf_deepbayes']}.",
            },
        )
        for view in (view for section in self.sections for view in section.views):
            if not view.refused:
                write_text(out / "tables" / f"{view.id}.csv", view.csv())
                write_text(out / "tables" / f"{view.id}.tex", view.latex())
        text = markdown(TITLE, self.study, self.verdicts, self.sections)
        write_text(out / "report.md", text)
        write_text(out / "verdicts.md", verdicts_page(self.study, self.verdicts))
        write_text(out / "index.html", page)

    def lines(self) -> Iterator[str]:
        """A line for each claim, then one for each table that is not drawn."""
        for verdict in self.verdicts:
            yield claim_line(verdict)
        for table in self.tables:
            if table.refused:
                yield f"not drawn: {table.title}: {'; '.join(table.refused)}"

    def _comparison(self, table: Table) -> View:
        if table.refused:
            return attacks.refused_view(table)
        return attacks.comparison_view(self.study, table, self.frames[table.id])

    def _detection_pictures(self) -> list[Picture]:
        drawn = [t for t in self.tables if not t.refused and t.threat == WHITE_BOX and t.is_linf]
        found = [picture for table in drawn for picture in roc_curves(self.results, table)]
        for data in sorted(set(self.study.attacks.data)):
            found += evasion_planes(self.results, data)
        return found

    def _source(self) -> str:
        if not self.published:
            return NO_PUBLISHED
        kinds = self.numbers.kind.value_counts()
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        return f"Published numbers: {len(self.numbers)} that may be compared ({told})."


def claim_line(verdict: Verdict) -> str:
    """A verdict as one line."""
    claim = verdict.claim
    begin = f"{verdict.sign} {claim.key:3} {verdict.word}: {claim.text}"
    if verdict.word == NOT_TESTED:
        return f"{begin} ({verdict.why_not})"
    cell = verdict.span
    assert cell is not None
    d = f"d {cell.d.text} in {cell.name}"
    return f"{begin}; {d}; {verdict.measured}"


def read_profile(path: str | None) -> str | None:
    """The text of a profile."""
    try:
        return pathlib.Path(path).read_text("utf-8") if path else None
    except (OSError, ValueError) as error:
        raise InputError(f"the profile {path} cannot be read: {error}") from None


def _there(found: Sequence[View | None]) -> list[View]:
    return [view for view in found if view is not None]
