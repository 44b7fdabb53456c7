"""Which images, settings and intervals a table's numbers are of."""

import pathlib
from typing import Any

import numpy as np
import pytest

from tests.study.synthetic import Runs
from tests.study.test_comparison import NUMBERS, compared
from tf_deepbayes.study.comparison import ABOVE, BELOW, WITHIN, difference
from tf_deepbayes.study.page.views.attacks import clean_table
from tf_deepbayes.study.published import half_width
from tf_deepbayes.study.report import Report
from tf_deepbayes.study.results import Study


def test_an_images_targets_are_averaged(tmp_path: pathlib.Path) -> None:
    """A targeted attack has nine rows for each image; of these only the last is right here."""
    runs = Runs(tmp_path, images=1800)
    runs.run("GBZ")
    last = (np.arange(1800) % 9 == 8)[:, None].repeat(5, 1)
    name = runs.attack("GBZ", 0.1, last, "pgd", options={"targeted": True})
    path = runs.folder("GBZ") / "attacks" / f"{name}.npz"
    with np.load(path) as arrays:
        found = dict(arrays)
    np.savez(path, **(found | {"indices": np.arange(1800) // 9}))
    row = compared(runs, "pgd", "targeted").set_index("model").loc["GBZ"]
    assert row.ours == pytest.approx(1 / 9) and row.low < row.ours < row.high
    report = Report(Study.read(runs.root))
    values = report.results.values([("GBZ", report.study.attacks)])
    assert not isinstance(values, str)
    assert values.array.shape == (1, 200, 1) and values.means == pytest.approx([1 / 9])


@pytest.mark.parametrize(
    ("low", "high", "published", "mark"),
    [
        (0.0, 0.037, 0.025, WITHIN),  # half of the width would reach to .018 + .0035 alone
        (0.0, 0.037, 0.042, BELOW),
        (np.nan, np.nan, 0.025, None),
    ],
)
def test_an_interval_reaches_as_far_as_its_end(
    low: float, high: float, published: float, mark: str | None
) -> None:
    row = {"ours": 0.0, "low": low, "high": high, "published": published, "published_half": 0.0035}
    assert difference(row)["mark"] == mark
    above = {"ours": 1.0, "low": 1 - high, "high": 1 - low, "published": 1 - published}
    mirrored = {BELOW: ABOVE}.get(str(mark), mark)
    assert difference(above | {"published_half": 0.0035})["mark"] == mirrored


def test_published_shares_of_all_or_no_images_have_an_interval() -> None:
    one, none = (NUMBERS[0]._replace(value=v, images=1000, uncertainty=0.0) for v in (1.0, 0.0))
    assert half_width(one) == pytest.approx(0.0038, abs=1e-4)
    assert half_width(none) == pytest.approx(half_width(one))


def test_clean_accuracies_are_of_the_settings_that_most_models_have(tmp_path: pathlib.Path) -> None:
    """Of two settings with as many models those published; who has others alone is named."""
    runs = Runs(tmp_path)
    many: dict[str, Any] = {"num_samples": 100, "noise": "mixture"}
    for model in ("GFZ", "GBZ", "GFY"):
        runs.run(model)
    for model in ("GBZ", "GFY"):
        runs.attack(model, 0.1, 0.5, clean=0.9, **many)
    for model in ("GFZ", "GBZ"):
        runs.attack(model, 0.2, 0.5, "pgd", clean=0.95)
    table = clean_table(Study.read(runs.root), "mnist")
    assert dict(zip(table.rows.model, table.rows.K, strict=True)) == {"GFZ": 10, "GBZ": 10}
    assert table.left_out == ("GFY",)
    runs.run("DFX")
    runs.attack("DFX", 0.1, 0.5, clean=0.9, **many)
    table = clean_table(Study.read(runs.root), "mnist")
    assert set(table.rows.noise) == {"mixture"} and table.left_out == ("GFZ",)
