"""The rule that makes a verdict of cells."""

import pytest

from tf_deepbayes.study.bootstrap import Estimate
from tf_deepbayes.study.claims.register import CLAIMS
from tf_deepbayes.study.claims.verdicts import (
    FAILS,
    HOLDS,
    IN_PART,
    NOT_TESTED,
    SIGNS,
    Cell,
    Untested,
    Verdict,
    judge,
)

FOR = Cell("for", Estimate(0.1, 0.05, 0.15), "t", 20, 100, 1, 300)
AGAINST = Cell("against", Estimate(-0.1, -0.15, -0.05), "t", 20, 100, 1, 300)
NEITHER = Cell("neither", Estimate(0.0, -0.05, 0.05), "t", 20, 100, 3, 1000)
LEFT_OUT = Cell("out", Estimate(-0.1, -0.15, -0.05), "t", left_out="at the floor")


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        ([FOR], HOLDS),
        ([FOR] * 9 + [NEITHER], HOLDS),
        ([FOR] * 8 + [NEITHER], IN_PART),  # 8 of 9 are fewer than nine of ten
        ([FOR] * 9 + [AGAINST], IN_PART),
        ([FOR, AGAINST], IN_PART),
        ([NEITHER], FAILS),
        ([AGAINST, NEITHER], FAILS),
        ([], NOT_TESTED),
    ],
)
def test_the_rule(cells: list[Cell], word: str) -> None:
    assert judge(cells) == word and SIGNS[word] in "✓◐✗–"


def test_cells_at_the_floor_do_not_count() -> None:
    verdict = Verdict(CLAIMS[0], (FOR, LEFT_OUT), ())
    assert verdict.word == HOLDS and verdict.others == ()
    only = Verdict(CLAIMS[0], (LEFT_OUT,), ())
    assert only.word == NOT_TESTED and "floor" in only.why_not


def test_a_verdict_says_on_what_it_was_measured() -> None:
    verdict = Verdict(CLAIMS[0], (FOR, NEITHER, AGAINST), ())
    assert verdict.measured == "at 20 of 100 epochs, 1–3 seeds, 300–1000 images"
    assert verdict.span == NEITHER and verdict.others == (NEITHER, AGAINST)


def test_what_is_not_tested_says_why() -> None:
    verdict = Verdict(
        CLAIMS[0], (), (Untested("a", "no run of GFY"), Untested("b", "no run of GFY"))
    )
    assert verdict.why_not == "no run of GFY"


def test_the_claims_are_those_of_the_study() -> None:
    keys = [claim.key for claim in CLAIMS]
    assert keys == [f"P{i}" for i in range(1, 18)] + [f"L{i}" for i in range(1, 6)] + ["T1"]
