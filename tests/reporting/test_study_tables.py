"""Tables of a study; what they say of results is tested in test_tables.py."""

from typing import Any

import pytest

from tf_deepbayes.reporting.study_tables import markdown_table, strongest_attack


def test_a_table_is_markdown() -> None:
    assert markdown_table(("a", "b"), [["1", "2"]]).splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| 1 | 2 |",
    ]
    assert markdown_table(("a",), []) == ""


@pytest.mark.parametrize(
    ("attacked", "broken_by", "name"),
    [
        (False, ["cw", "cw", None, None], "mim"),
        (True, ["unperturbed", "unperturbed", "pgd", "cw", "cw", None], "cw"),
        (True, ["unperturbed", "unperturbed", None], "none"),
    ],
)
def test_the_strongest_attack(attacked: bool, broken_by: list[str | None], name: str) -> None:
    """On images that others left, the last attack always has the lowest robust accuracy."""
    left = {"pgd": 0.6, "cw": 0.4, "mim": 0.3}
    rows: list[dict[str, Any]] = [{"name": n, "robust_accuracy": v} for n, v in left.items()]
    if attacked:
        rows[1]["attacked"] = rows[2]["attacked"] = 5
    figures = {"components": rows, "worst_case": {"first_broken_by": broken_by}}
    assert strongest_attack(figures) == name
