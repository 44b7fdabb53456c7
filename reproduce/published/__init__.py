"""The published numbers that results are compared with, each with its source.

`numbers.csv` has a number per row and the key of its source; `sources.csv` says, for each key, the
kind of source, the table or figure, the settings, and what is known about the numbers.
"""

import csv
import pathlib
from typing import NamedTuple

from tf_deepbayes.core.errors import InputError

FOLDER = pathlib.Path(__file__).parent
PAPER, REPRODUCTION = "paper", "reproduction"
DO_NOT_COMPARE = "DO NOT COMPARE"  # in the note of numbers that measure something else


class PublishedNumber(NamedTuple):
    """One published number.

    Attributes:
        dataset: such as mnist, plane_frog, cifar10.
        model: GFZ … GBY, BNN, or what the source compares them with.
        threat: "white box", "clean" and so on.
        attack: fgsm, pgd …; "none" without an attack.
        eps: size as printed, pixels in [0, 1]; c of `cw`; "grid" for a mean over all sizes.
        quantity: what is measured, such as accuracy_under_attack.
        value: a share in [0, 1], an l2 or l∞ size in pixels, or nats.
        kind: whose number it is: "paper", "reproduction" and so on.
        source: the publication, with table or figure and page.
        settings: the source's, as far as it says them.
        note: what to know before comparing with it.
        images: n of a share, for its sampling interval; None where the source does not say.
        uncertainty: half-width of rounding or reading; None where unknown.
    """

    dataset: str
    model: str
    threat: str
    attack: str
    eps: str
    quantity: str
    value: float
    kind: str
    source: str
    settings: str
    note: str
    images: int | None
    uncertainty: float | None

    @property
    def is_comparable(self) -> bool:
        """Whether it measures what the others of its quantity do."""
        return DO_NOT_COMPARE not in self.note


def published_numbers(folder: pathlib.Path = FOLDER) -> list[PublishedNumber]:
    """Every published number, in the order of the sources.

    Raises:
        InputError: a row that names no known source or holds no number; the message says which.
    """
    sources = {row["key"]: row for row in _rows(folder / "sources.csv")}
    found = []
    for line, row in enumerate(_rows(folder / "numbers.csv"), start=2):
        try:
            found.append(_number(row, sources[row["source"]]))
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(
                f"line {line} of {folder / 'numbers.csv'} is damaged: {error!r}"
            ) from None
    return found


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _number(row: dict[str, str], source: dict[str, str]) -> PublishedNumber:
    texts = {
        name: row[name] for name in ("dataset", "model", "threat", "attack", "eps", "quantity")
    }
    texts |= {name: source[name] for name in ("kind", "source", "settings", "note")}
    images, uncertainty = source["images"], source["uncertainty"]
    return PublishedNumber(
        **texts,
        value=float(row["value"]),
        images=int(images) if images else None,
        uncertainty=float(uncertainty) if uncertainty else None,
    )
