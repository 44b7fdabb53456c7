"""Parts of a divided result."""

import pathlib

import pytest

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.evaluation.parts import Part


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
def test_every_item_is_in_one_part_and_in_order(count: int) -> None:
    for length in (0, 1, 5, 7):
        parts = [Part(i + 1, count).of(range(length)) for i in range(count)]
        assert [item for part in parts for item in part] == list(range(length))
        sizes = [len(part) for part in parts]
        assert sizes == sorted(sizes, reverse=True) and max(sizes) - min(sizes) <= 1


def test_a_part_is_read_and_locks_its_own_file() -> None:
    part = Part.parse("2/7")
    assert part == Part(2, 7) and str(part) == "2/7"
    lock = part.lock(pathlib.Path("attacks/pgd_eps0.10.json"))
    assert lock == pathlib.Path("attacks/.pgd_eps0.10.part2of7.lock")
    for text in ("0/7", "8/7", "2", "a/b", "2/", "-1/3"):
        with pytest.raises(InputError, match="expected I/N with I from 1 to N"):
            Part.parse(text)
