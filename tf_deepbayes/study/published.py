"""The published numbers that results are compared with, each with its source.

`numbers.csv` has a number per row and the key of its source; `sources.csv` says, for each key, the
kind of source, the table or figure, the settings, and what is known about the numbers.
"""

import csv
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.metrics import NORMAL_95, confidence_interval

# Of a checkout of the project; an installed package has no such folder.
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "reproduce" / "published"
PAPER, REPRODUCTION = "paper", "reproduction"
PAPER_K = 10  # samples, in the whole paper
LAYERS = {"-CONV9": "_mid", "-FC1": "_high"}  # of the VGG16, as the paper and as runs name them
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


def find_folder(given: str | None = None) -> pathlib.Path | None:
    """The folder of the published numbers: the given one, or the checkout's; None without one.

    Raises:
        InputError: the given folder does not hold them.
    """
    folder = pathlib.Path(given) if given else FOLDER
    if (folder / "numbers.csv").is_file():
        return folder
    if given:
        raise InputError(f"{folder} holds no published numbers: expected numbers.csv in it")
    return None


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
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


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


def frame(numbers: Sequence[PublishedNumber]) -> pd.DataFrame:
    """The comparable numbers, one a row, with models named as runs are.

    Columns: the fields of `PublishedNumber`; `size`, ε or c as a number (NaN for a grid); `half`,
    the half-width of the 95% sampling interval of a share plus that of rounding or reading;
    `steps`, those of the attack, NaN where no source says; `K`, in the whole paper `PAPER_K`.

    The paper's figures, Tables 1 and 2 and its heat maps report on the attacks of its appendix, and
    have the steps that its tables give for the attacked model.
    """
    rows = []
    for number in numbers:
        if number.is_comparable:
            size = float(number.eps) if re.fullmatch(r"[0-9.e-]+", number.eps) else float("nan")
            said = re.search(r"(?<!\w)K=(\d+)", number.settings)
            k = int(said[1]) if said else PAPER_K if number.kind == PAPER else None
            extra = {"size": size, "half": half_width(number), "steps": steps_of(number), "K": k}
            rows.append(number._asdict() | {"model": run_name(number.model)} | extra)
    columns = [*PublishedNumber._fields, "size", "half", "steps", "K"]
    return _with_steps_of_tables(pd.DataFrame(rows, columns=columns))


def _with_steps_of_tables(numbers: pd.DataFrame) -> pd.DataFrame:
    """Steps of the paper's other sources: those of its tables for the same attacked model."""
    paper = (numbers.kind == PAPER) & numbers.attack.isin(["pgd", "mim"])
    attacked = numbers.threat.str.extract(r"transfer from (\w+)")[0].fillna(numbers.model)
    keys = [numbers.dataset, attacked, numbers.attack]
    white = numbers.steps.astype(float).where(paper & (numbers.threat == "white box"))
    # The first are the appendix's tables, before those of other dim_z.
    of_tables = white.groupby(keys).transform("first")
    filled = numbers.steps.astype(float).fillna(of_tables.where(paper))
    return numbers.assign(steps=filled)


def run_name(model: str) -> str:
    """GBZ-CONV9 → GBZ_mid; a model of images keeps its name."""
    for published, own in LAYERS.items():
        model = re.sub(f"{published}$", own, model)
    return model


def half_width(number: PublishedNumber) -> float:
    """Sampling interval (95%) and rounding of a share; of other quantities rounding.

    The interval is the normal one; of a share of 0 or 1, where that has no width, Wilson's.
    """
    share, count = number.value, number.images
    sampling = NORMAL_95 * (max(share * (1 - share), 0.0) / count) ** 0.5 if count else 0.0
    if count and share in (0.0, 1.0):
        low, high = confidence_interval(share, count) or (share, share)
        sampling = high - low
    return sampling + (number.uncertainty or 0.0)


def steps_of(number: PublishedNumber) -> int | None:
    """The steps of the attack; where the source has two numbers, what its note concludes."""
    found = re.search(r"(?<![a-z])steps=(\d+)( or (\d+))?", number.settings)
    if found is None:
        return None
    if found[3] and number.note and "over 40 steps" in number.note:
        return int(found[3])
    return int(found[1])
