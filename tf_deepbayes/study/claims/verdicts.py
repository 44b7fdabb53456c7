"""Cells of a claim, and the verdict they lead to."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from tf_deepbayes.reporting.text import count
from tf_deepbayes.study.bootstrap import Estimate
from tf_deepbayes.study.rows import WHITE_BOX

HOLDS, IN_PART, FAILS, NOT_TESTED = "holds", "holds in part", "does not hold", "not tested"
SIGNS = {HOLDS: "✓", IN_PART: "◐", FAILS: "✗", NOT_TESTED: "–"}
MOST = 0.9  # share of the cells that must be on the claimed side
FEWEST_IMAGES = 200
LOWEST, HIGHEST = 0.02, 0.98  # where both sides lie beyond, nothing is to be seen


@dataclasses.dataclass(frozen=True)
class Cell:
    """One attack at one size: the difference in the claimed direction, above 0 if the claim holds.

    Attributes:
        name: such as "PGD ε .2".
        d: difference or distance from the level, with its 95% interval.
        table: id of the table with the numbers.
        epochs, asked, seeds, images: what it was measured on.
        left_out: why it does not count, such as both sides at the floor; empty if it does.
    """

    name: str
    d: Estimate
    table: str
    epochs: float = float("nan")
    asked: float | None = None
    seeds: int = 1
    images: int = 0
    left_out: str = ""

    @property
    def side(self) -> int:
        """1: the interval is on the claimed side of 0; −1: on the other; 0: it holds 0."""
        return int(self.d.low > 0) - int(self.d.high < 0)


@dataclasses.dataclass(frozen=True)
class Untested:
    """What of a claim could not be tested, and why."""

    name: str
    why: str


Found: TypeAlias = Cell | Untested


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of the paper (P), of the later study (L), or of Tramèr et al. (T).

    Attributes:
        text: the claim.
        test: the quantity and its test.
        published: the published numbers in short.
        data: data sets it is about.
        models: models it compares.
        attacks: attacks it is about.
        find: finds the cells in `claims.cells.Results`.
        of_accuracies: its published numbers are accuracies under these attacks.
        threats: of the attacks that its published accuracies are under.
    """

    key: str
    text: str
    test: str
    published: str
    data: tuple[str, ...]
    models: tuple[str, ...]
    attacks: tuple[str, ...]
    find: Callable[..., Iterable[Found]]
    of_accuracies: bool = True
    threats: tuple[str, ...] = (WHITE_BOX,)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A claim and what the results say of it.

    Attributes:
        cells: all that were computed, left-out ones included.
        untested: what was not, and why.
        met: (published accuracies met, compared); none where the claim is of something else.
    """

    claim: Claim
    cells: tuple[Cell, ...]
    untested: tuple[Untested, ...]
    met: tuple[int, int] = (0, 0)

    @property
    def counted(self) -> tuple[Cell, ...]:
        """The cells that count."""
        return tuple(cell for cell in self.cells if not cell.left_out)

    @property
    def word(self) -> str:
        """The verdict."""
        return judge(self.counted)

    @property
    def sign(self) -> str:
        """The verdict as a sign."""
        return SIGNS[self.word]

    @property
    def others(self) -> tuple[Cell, ...]:
        """The cells that are not on the claimed side."""
        return tuple(cell for cell in self.counted if cell.side != 1)

    @property
    def why_not(self) -> str:
        """Why it is not tested, in words."""
        if self.cells:
            return "in every cell both sides are at the floor or the ceiling"
        reasons = dict.fromkeys(untested.why for untested in self.untested)
        return "; ".join(list(reasons)[:3]) or "no run"

    @property
    def measured(self) -> str:
        """Such as "at 30 of 100 epochs, 1 seed, 300–1000 images", and how much is missing."""
        cells = self.counted
        if not cells:
            return ""
        epochs = sorted({cell.epochs for cell in cells if not math.isnan(cell.epochs)})
        told = " and ".join(f"{e:g}" for e in epochs) or "unknown"
        asked = {cell.asked for cell in cells if cell.asked}
        of = f" of {max(asked):g}" if asked else ""
        seeds, images = ({getattr(c, n) for c in cells} for n in ("seeds", "images"))
        plural = "" if max(seeds) == 1 else "s"
        more = count(len(self.untested), "further cell")
        rest = f" ({more} not tested)" if self.untested else ""
        return f"at {told}{of} epochs, {_range(seeds)} seed{plural}, {_range(images)} images{rest}"

    @property
    def span(self) -> Cell | None:
        """The cell with the middle difference, to stand for all."""
        cells = sorted(self.counted, key=lambda cell: cell.d.value)
        return cells[(len(cells) - 1) // 2] if cells else None


def judge(cells: Sequence[Cell]) -> str:
    """The verdict of the cells that count; docs/study.md has the rule."""
    if not cells:
        return NOT_TESTED
    for_it = sum(cell.side == 1 for cell in cells)
    if for_it >= MOST * len(cells) and all(cell.side >= 0 for cell in cells):
        return HOLDS
    return IN_PART if for_it else FAILS


def _range(values: set[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low}–{high}"
