"""Whatever flags an app is given, it ends in order: done, or one line that says what is wrong.

Hypothesis draws values for every flag of every app.
"""

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.conftest import APPS, assert_in_order, check, fresh
from tests.forked_app import flag_types, run_app

NONSENSE = st.one_of(
    st.sampled_from(
        ["", "nan", "inf", "-1", "0", "-0.5", "1e400", "1.5", "None", "true", "[]", ","]
    ),
    st.sampled_from(["9" * 30, "-" + "9" * 30, "absent/file", "runs", "indices.txt", "a" * 300]),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12),
)


@pytest.mark.parametrize("script", APPS)
def test_any_value_of_any_flag(script: str, sound: pathlib.Path, folder: pathlib.Path) -> None:
    names = sorted(flag_types(script))

    @check
    @given(st.dictionaries(st.sampled_from(names), NONSENSE, min_size=1, max_size=2))
    def try_flags(values: dict[str, str]) -> None:
        given_flags = [f"--{name}={value}" for name, value in values.items()]
        done = run_app(script, [*APPS[script], *given_flags], fresh(sound, folder))
        assert_in_order(done, given_flags)

    try_flags()


@pytest.mark.parametrize("script", APPS)
def test_any_argument(script: str, sound: pathlib.Path, folder: pathlib.Path) -> None:
    @check
    @given(st.lists(NONSENSE, min_size=1, max_size=2))
    def try_arguments(values: list[str]) -> None:
        done = run_app(script, [*APPS[script], "--", *values], fresh(sound, folder))
        assert done.returncode == 2
        assert_in_order(done, values)

    try_arguments()
