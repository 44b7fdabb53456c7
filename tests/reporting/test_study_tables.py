"""Tables of a study; what they say of results is tested in test_tables.py."""

from tf_deepbayes.reporting.study_tables import markdown_table


def test_a_table_is_markdown() -> None:
    assert markdown_table(("a", "b"), [["1", "2"]]).splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| 1 | 2 |",
    ]
    assert markdown_table(("a",), []) == ""
