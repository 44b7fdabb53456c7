"""A table of the report: one frame, shown on the page, as CSV in full precision and as LaTeX."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tf_deepbayes.study.results import in_order

LATEX = {
    **{"±": r"$\pm$", "−": "$-$", "–": "--", "●": r"$\bullet$", "▲": r"$\blacktriangle$"},
    **{"▼": r"$\blacktriangledown$", "ε": r"$\varepsilon$", "ℓ": r"$\ell$", "∞": r"$\infty$"},
    **{"λ": r"$\lambda$", "×": r"$\times$", "≤": r"$\leq$", "✓": r"$\checkmark$"},
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of the page.

    Attributes:
        links: paths of the results that the number is from.
        title: where a published number is printed.
    """

    text: str
    links: tuple[str, ...] = ()
    title: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A table in its three forms.

    Attributes:
        id: name of its files and of its place on the page.
        note: what stands above it.
        frame: the full precision and the sources, one row each.
        shown: the texts, with the same rows.
        links: {shown column: column of the frame with paths, apart by blanks}.
        titles: {shown column: column of the frame with a source}.
        grey: column of the frame that says which rows stand apart; None: none do.
        refused: what differs, when there is no table.
    """

    id: str
    title: str
    frame: pd.DataFrame
    shown: pd.DataFrame
    note: str = ""
    links: Mapping[str, str] = dataclasses.field(default_factory=dict)
    titles: Mapping[str, str] = dataclasses.field(default_factory=dict)
    grey: str | None = None
    refused: Sequence[str] = ()

    @property
    def head(self) -> list[str]:
        """The names of the columns."""
        return [str(name) for name in self.shown.columns]

    @property
    def is_grouped(self) -> bool:
        """Whether the first column says the same in several rows."""
        return bool(len(self.shown) and self.shown.iloc[:, 0].duplicated().any())

    def rows(self) -> list[tuple[bool, list[Cell]]]:
        """(whether it stands apart, its cells)."""
        found = []
        for i, texts in enumerate(self.shown.itertuples(index=False)):
            row = self.frame.iloc[i]
            apart = bool(self.grey and row[self.grey])
            cells = [self._cell(n, t, row) for n, t in zip(self.head, texts, strict=True)]
            found.append((apart, cells))
        return found

    def _cell(self, name: str, text: Any, row: pd.Series) -> Cell:
        paths, title = row.get(self.links.get(name, "")), row.get(self.titles.get(name, ""))
        links = tuple(paths.split()) if isinstance(paths, str) else ()
        return Cell(str(text), links, title if isinstance(title, str) else "")

    def csv(self) -> str:
        """Full precision, with source columns."""
        return str(self.frame.to_csv(index=False, lineterminator="\n"))

    def latex(self) -> str:
        """A booktabs table; ▲ and ▼ need amssymb."""
        shown = self.shown.rename(columns=_escaped).map(lambda text: _escaped(str(text)))
        style = shown.style.hide(axis="index")
        columns = "l" + "r" * (len(self.head) - 1)
        text = style.to_latex(hrules=True, column_format=columns)
        notes = [f"% {line}" for line in (self.title, self.note) if line]
        return "\n".join([*notes, str(text)])


def _escaped(text: str) -> str:
    for sign in "&%$#_{}":
        text = text.replace(sign, f"\\{sign}")
    for sign, command in LATEX.items():
        text = text.replace(sign, command)
    return text


def ordered(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """A frame in the order of the data sets, the paper's order of the models, then of columns."""
    order = [(str(row.data), in_order(str(row.model))) for row in frame.itertuples()]
    index = sorted(
        range(len(frame)), key=lambda i: (order[i], *(frame[c].iloc[i] for c in columns))
    )
    return frame.iloc[index].reset_index(drop=True)


def share(value: Any) -> str:
    """A share with three decimals; a dash if there is none."""
    return "–" if value is None or pd.isna(value) else f"{value:.3f}"


def number(value: Any, decimals: int = 0) -> str:
    """A number; a dash if there is none."""
    return "–" if value is None or pd.isna(value) else f"{value:.{decimals}f}"


def plus_minus(value: Any, low: Any, high: Any) -> str:
    """A share ± the wider side of its interval: its middle is elsewhere near 0 and 1."""
    if value is None or pd.isna(value):
        return "–"
    return share(value) if pd.isna(low) else f"{value:.3f} ± {max(value - low, high - value):.3f}"


def points(value: Any, mark: Any) -> str:
    """A difference in points with its mark, if it has one."""
    if value is None or pd.isna(value):
        return "–"
    end = f" {mark}" if mark and pd.notna(mark) else ""
    return f"{value:+.1f}{end}".replace("-", "−")


def from_to(low: Any, high: Any) -> str:
    """One share, or the range of several."""
    if low is None or pd.isna(low):
        return "–"
    return share(low) if high == low else f"{low:.3f}–{high:.3f}"
