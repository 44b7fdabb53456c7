"""The report as markdown, for pages that quote it: claims and tables, and the verdicts alone."""

from collections.abc import Iterable, Sequence

from tf_deepbayes.reporting.study_tables import markdown_table
from tf_deepbayes.reporting.text import count
from tf_deepbayes.study.claims.verdicts import FAILS, HOLDS, NOT_TESTED, Verdict
from tf_deepbayes.study.page.html import Section, sentence
from tf_deepbayes.study.page.tables import View
from tf_deepbayes.study.results import Study

CLAIMS = ("", "claim", "verdict", "d of the middle cell (95%)", "measured")
QUOTED = ("tables", "detection", "training-and-cost")  # the other sections list single results

TERMS = (
    "A *cell* is one attack at one size; d is how far it lies on the claimed side, with its 95% "
    "interval. A claim *holds* where nine cells of ten do and none lies on the other side, and "
    "*in part* where any cell does (docs/study.md, *Claims*)."
)
NAMED = 4  # cells or reasons that a verdict names
SOURCES = {"P": "Li, Bradshaw and Sharma 2019", "L": "a later study", "T": "Tramèr and others 2020"}


def verdicts_page(study: Study, verdicts: Sequence[Verdict]) -> str:
    """Each claim with its verdict, the evidence, and what would change it, for those who cite."""
    letters = "; ".join(f"{letter} is {name}" for letter, name in SOURCES.items())
    parts = [
        "# Verdicts",
        f"{sentence(study)} A claim's letter names its source: {letters}. {TERMS}",
    ]
    for verdict in verdicts:
        claim = verdict.claim
        parts.append(f"## {claim.key}: {verdict.word}")
        parts.append(f"**{claim.text}.** Published: {claim.published}. Tested: {claim.test}.")
        parts += [_evidence(verdict), f"*What would change it*: {_change(verdict)}."]
    return "\n\n".join(parts) + "\n"


def _evidence(verdict: Verdict) -> str:
    cells, span = verdict.counted, verdict.span
    if span is None:
        return f"Nothing here tests it: {verdict.why_not}."
    agree = len(cells) - len(verdict.others)
    against = sum(cell.side == -1 for cell in cells)
    said = f"{_part(agree, len(cells), 'cell')} on the claimed side, {against} on the other"
    met, compared = verdict.met
    what = (
        "clean accuracies" if "clean" in verdict.claim.threats else "accuracies under these attacks"
    )
    end = f" Of the published {what}, {met} of {compared} are met." if compared else ""
    return f"{said}; the middle one is d = {span.d.text} in {span.name}, {verdict.measured}.{end}"


def _part(number: int, total: int, noun: str) -> str:
    """Such as "1 of 2 cells is" and "2 of 2 cells are"."""
    return f"{number} of {count(total, noun)} {'is' if 1 in (number, total) else 'are'}"


def _change(verdict: Verdict) -> str:
    if verdict.word == NOT_TESTED:
        return f"the missing results ({verdict.why_not})"
    missing = dict.fromkeys(untested.name for untested in verdict.untested)
    more = f"; not tested: {_first(missing)}" if missing else ""
    if verdict.word == HOLDS:
        return f"a cell on the other side of 0, or more than a tenth that are undecided{more}"
    if verdict.word == FAILS:
        return f"a cell whose interval is on the claimed side{more}"
    undecided = _first(cell.name for cell in verdict.others)
    return f"the cells that are not on the claimed side: {undecided}{more}"


def _first(names: Iterable[str]) -> str:
    found = list(names)
    rest = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return "; ".join(found[:NAMED]) + rest


def markdown(
    title: str, study: Study, verdicts: Sequence[Verdict], sections: Sequence[Section]
) -> str:
    """The page without its pictures, and without the lists of single results."""
    parts = [f"# {title}", sentence(study), markdown_table(CLAIMS, [_row(v) for v in verdicts])]
    for section in sections:
        if section.id in QUOTED:
            parts.append(f"## {section.title}")
            parts += [part for view in section.views for part in _view(view)]
    return "\n\n".join(parts) + "\n"


def _row(verdict: Verdict) -> list[str]:
    claim, word = verdict.claim, f"{verdict.sign} {verdict.word}"
    if verdict.word == NOT_TESTED or verdict.span is None:
        return [claim.key, claim.text, word, "–", verdict.why_not]
    span = verdict.span
    return [claim.key, claim.text, word, f"{span.d.text} in {span.name}", verdict.measured]


def _view(view: View) -> list[str]:
    rows = [[cell.text.replace("|", r"\|") for cell in cells] for _, cells in view.rows()]
    refused = [f"Not drawn: {'; '.join(view.refused)}."] if view.refused else []
    table = [] if view.refused else [markdown_table(view.head, rows)]
    return [f"### {view.title}", *([view.note] if view.note else []), *refused, *table]
