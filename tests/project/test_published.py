"""The published numbers: each has a source, and sampled cells equal the tables, read by hand."""

import collections
import pathlib

import pytest

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.study.published import FOLDER, PAPER, PublishedNumber, published_numbers

NUMBERS = published_numbers()
# Quantities that are not shares in [0, 1], and their range.
RANGES = {
    "bound": (-100.0, 0.0),
    "mean_log_px_train": (-100.0, 0.0),
    "mean_log_px_test": (-100.0, 0.0),
    "mean_l2_of_successful": (0.0, 28.0),
}


def test_there_are_as_many_as_were_read() -> None:
    kinds = collections.Counter(number.kind for number in NUMBERS)
    assert kinds["paper"] == 3808 and kinds["reproduction"] == 260
    assert kinds["external evaluation"] == 9 and len(NUMBERS) == 4106
    assert sum(not number.is_comparable for number in NUMBERS) == 105


def test_each_has_a_source_a_kind_and_a_number_in_range() -> None:
    for number in NUMBERS:
        low, high = RANGES.get(number.quantity, (0.0, 1.0))
        assert low <= number.value <= high, number
        assert number.source and number.kind and number.dataset and number.model
        assert number.kind != PAPER or (
            number.source.startswith("Li, Bradshaw, Sharma 2019, arXiv 1802.06552v3")
        )


def cells(**wanted: str) -> list[PublishedNumber]:
    given = {"dataset": "mnist", "kind": PAPER, "threat": "white box", **wanted}
    return [n for n in NUMBERS if all(getattr(n, name) == v for name, v in given.items())]


# (model, attack) → accuracy at ε = .1 … .5 (cw: c = .1 … 1000), read in the paper's tables.
BY_HAND: dict[tuple[str, str], list[float | None]] = {
    ("GBZ", "fgsm"): [0.925, 0.803, 0.620, 0.424, 0.272],
    ("GBZ", "pgd"): [0.851, 0.574, 0.325],
    ("DFX", "fgsm"): [None, 0.148],
    ("DFZ", "fgsm"): [None, 0.190],
    ("DBX", "fgsm"): [None, 0.778],
    ("DBX", "pgd"): [None, 0.366],
    ("GBZ", "mim"): [0.796, None, 0.056],
    ("GFZ", "mim"): [None, None, 0.090],
    ("GBZ", "cw"): [None, None, 0.815],
}


@pytest.mark.parametrize(("model", "attack"), BY_HAND)
def test_sampled_cells_equal_the_tables(model: str, attack: str) -> None:
    sizes = (
        ["0.1", "1", "10", "100", "1000"] if attack == "cw" else ["0.1", "0.2", "0.3", "0.4", "0.5"]
    )
    of_model = cells(model=model, attack=attack, quantity="accuracy_under_attack")
    for eps, value in zip(sizes, BY_HAND[model, attack], strict=False):
        found = {n.value for n in of_model if n.eps == eps}
        assert value is None or value in found, (eps, found)


def test_clean_accuracy_and_the_external_evaluation() -> None:
    clean = cells(threat="clean", quantity="clean_accuracy")
    assert 0.9745 in {n.value for n in clean if n.model == "GBZ"}
    assert any(n.value == pytest.approx(0.9886, abs=6e-4) for n in clean if n.model == "DBX")
    external = [n for n in NUMBERS if n.kind == "external evaluation"]
    assert {0.978, 0.118} <= {n.value for n in external}


def test_the_files_are_small_and_a_damaged_row_is_named(tmp_path: pathlib.Path) -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.csv")) < 300_000
    (tmp_path / "sources.csv").write_text((FOLDER / "sources.csv").read_text())
    rows = (FOLDER / "numbers.csv").read_text().splitlines()
    rows[2] = rows[2].replace(",F.1", ",F.99")
    (tmp_path / "numbers.csv").write_text("\n".join(rows))
    with pytest.raises(InputError, match=r"line 3 of .*F\.99"):
        published_numbers(tmp_path)
