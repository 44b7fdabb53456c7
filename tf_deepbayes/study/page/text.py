"""The report's claims and tables as one markdown file, for pages that quote them."""

from collections.abc import Sequence

from tf_deepbayes.reporting.study_tables import markdown_table
from tf_deepbayes.study.claims.verdicts import NOT_TESTED, Verdict
from tf_deepbayes.study.page.html import Section, sentence
from tf_deepbayes.study.page.tables import View
from tf_deepbayes.study.results import Study

CLAIMS = ("", "claim", "verdict", "d of the middle cell (95%)", "measured")
QUOTED = ("tables", "detection", "training-and-cost")  # the other sections list single results


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
