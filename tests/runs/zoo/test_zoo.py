"""The classifiers that come with the project are what their cards say."""

import pathlib

import pytest

from tests.conftest import ROOT
from tf_deepbayes.core import metrics
from tf_deepbayes.data import datasets
from tf_deepbayes.runs.run import load_run
from tf_deepbayes.runs.state.identity import weights_digest
from tf_deepbayes.runs.zoo import entries

ZOO = ROOT / "zoo"
ENTRIES = sorted(path.parent for path in ZOO.glob(f"*/*/{entries.MODEL}"))
LIMIT = 45e6  # bytes of all weights


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.parent.name}-{entry.name}")
def test_an_entry_has_the_digest_and_the_accuracy_of_its_card(
    entry: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run, content = load_run(entry, runs=tmp_path), entries.read_entry(entry)
    assert weights_digest(run.model) == content["trained"]["weights"]
    assert content["trained"]["epochs"] == content["trained"]["epochs_asked"]
    expected = content["about"].get("accuracy_mnist_5k_200")
    if expected is None:
        pytest.skip("the data of this entry do not come with a package")
    test = datasets.load("mnist_5k").test
    run.reseed(0)  # the noise that the card was measured with
    predicted = metrics.predict(run.logits_fn, test.pixels[:200]).argmax(1)
    # Another order of additions on another machine changes few of GBZ's draws.
    assert metrics.accuracy(predicted, test.labels[:200]) == pytest.approx(expected, abs=0.02)


def test_the_zoo_stays_small() -> None:
    assert ENTRIES
    assert sum(path.stat().st_size for path in ZOO.rglob("*") if path.is_file()) < LIMIT
