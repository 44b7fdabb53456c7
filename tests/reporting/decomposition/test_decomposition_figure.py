"""Bars of parts that add up to 1."""

import pytest

from tf_deepbayes.reporting.decomposition.figure import decomposition_figure, drawn_sizes

SHARES = {"clean error": 0.1, "broken": 0.6, "known noise": -0.02, "adaptive": 0.03, "margin": 0.29}
PARTS = {name: {"share": share} for name, share in SHARES.items()}


def test_a_negative_part_is_taken_off_the_next() -> None:
    found = drawn_sizes(PARTS)
    assert found == pytest.approx(SHARES | {"known noise": 0.0, "adaptive": 0.01})
    assert sum(found.values()) == pytest.approx(1.0)


def test_a_bar_ends_at_1_and_says_the_shares() -> None:
    (axes,) = decomposition_figure(
        [{"eps": 0.1, "curves": [], "decomposition": {"parts": PARTS}}]
    ).axes
    assert max(bar.get_y() + bar.get_height() for bar in axes.patches) == pytest.approx(1.0)  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == ["0.10", "0.60", "0.29"]
