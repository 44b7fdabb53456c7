"""The N parts of a divided result: each does its share of the batches, and a merge the scoring.

A batch's noise is a function of its number alone and the finished batches of all parts are kept
in one folder, so that the merged result is that of the undivided run, bit for bit.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from tf_deepbayes.core.errors import InputError

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Part:
    """Part `number` of `count`, counted from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Part":
        """The part that a text such as 2/7 names; InputError when it names none."""
        number, slash, count = text.partition("/")
        if slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return cls(int(number), int(count))
        raise InputError(f"expected I/N with I from 1 to N, such as 2/7, got {text!r}")

    def lock(self, result: pathlib.Path) -> pathlib.Path:
        """The lock file of the process that does this part of a result."""
        return result.with_name(f".{result.stem}.part{self.number}of{self.count}.lock")

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """This part of the items, in their order; later parts are shorter where N does not fit."""
        edges = np.cumsum([0] + [len(one) for one in np.array_split(range(len(items)), self.count)])
        return items[edges[self.number - 1] : edges[self.number]]
