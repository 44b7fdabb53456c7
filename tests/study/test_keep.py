"""Results kept as small files make the same report."""

import json
import pathlib

import numpy as np
import pytest

from tests.study.synthetic import AS_CLAIMED, Runs
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.study.keep import keep
from tf_deepbayes.study.published import FOLDER
from tf_deepbayes.study.report import Report
from tf_deepbayes.study.results import Study


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> Runs:
    """FGSM on all models, with images, one of them detected."""
    found = Runs(tmp_path / "runs")
    found.complete(AS_CLAIMED)
    name = found.attack("GFZ", 0.1, 0.9, pixels=True)
    outcomes = {"labels": found.labels, "predicted": found.labels, "clean_labels": found.labels}
    rejected = {"rejected_kl": found.labels > 4, "rejected_clean_kl": found.labels > 8}
    found.detect("GFZ", name, {"kl": 0.9}, outcomes=outcomes | rejected)
    return found


def tables_of(root: pathlib.Path) -> dict[str, str]:
    report = Report(Study.read(root), FOLDER)
    return {view.id: view.csv() for section in report.sections for view in section.views}


def test_a_kept_copy_makes_the_same_tables_and_verdicts(runs: Runs, tmp_path: pathlib.Path) -> None:
    study, copy = Study.read(runs.root), tmp_path / "kept"
    assert keep(study, copy) == 22
    assert tables_of(copy) == tables_of(runs.root)
    lines = list(Report(study, FOLDER).lines())
    assert list(Report(Study.read(copy), FOLDER).lines()) == lines and len(lines) == 23


def test_a_kept_copy_is_small_and_holds_no_images(runs: Runs, tmp_path: pathlib.Path) -> None:
    copy = tmp_path / "kept"
    keep(Study.read(runs.root), copy)
    with np.load(copy / "mnist/GFZ/attacks/fgsm_eps0.10.npz") as arrays:
        assert set(arrays.files) == {"labels", "indices", "predicted", "clean_predicted"}
        assert {arrays[name].dtype for name in arrays.files} == {np.dtype(np.uint8)}
        assert arrays["predicted"].shape == (200, 5)
    with np.load(copy / "mnist/GFZ/detection/fgsm_eps0.10.npz") as arrays:
        assert set(arrays.files) == {"labels", "predicted", "rejected_kl"}
        assert arrays["labels"].dtype == np.uint8 and arrays["rejected_kl"].sum() == 100
    assert (copy / "mnist/GFZ/trained.json").is_file()
    assert not list(copy.rglob("checkpoint*"))
    assert max(path.stat().st_size for path in copy.rglob("*.npz")) < 5000


def test_curves_are_not_kept(runs: Runs, tmp_path: pathlib.Path) -> None:
    path = next((runs.root / "mnist/GFZ/detection").glob("*.json"))
    content = json.loads(path.read_text())
    for row in content["figures"]:
        row["roc"] = {"all": {"false_positive_rate": [0.0] * 1000}}
    path.write_text(json.dumps(content))
    keep(Study.read(runs.root), tmp_path / "kept")
    kept = json.loads((tmp_path / "kept/mnist/GFZ/detection" / path.name).read_text())
    for row in content["figures"]:
        del row["roc"]
    assert kept == content


def test_keeping_twice_is_keeping_once(runs: Runs, tmp_path: pathlib.Path) -> None:
    study, copy = Study.read(runs.root), tmp_path / "kept"
    keep(study, copy)
    again = keep(Study.read(copy), tmp_path / "more")
    assert again == keep(study, copy) == 22


def test_runs_are_not_overwritten(runs: Runs, tmp_path: pathlib.Path) -> None:
    study = Study.read(runs.root)
    with pytest.raises(InputError, match="holds the runs themselves"):
        keep(study, runs.root)
    other = tmp_path / "other" / "mnist" / "DBX"
    other.mkdir(parents=True)
    (other / "checkpoint.npz").touch()
    with pytest.raises(InputError, match="is a run and not a copy"):
        keep(study, tmp_path / "other")


def test_what_the_results_say_is_kept_whole(runs: Runs, tmp_path: pathlib.Path) -> None:
    keep(Study.read(runs.root), tmp_path / "kept")
    name = "mnist/GFZ/attacks/fgsm_eps0.10.json"
    texts = [(root / name).read_text() for root in (runs.root, tmp_path / "kept")]
    assert texts[0] == texts[1] and json.loads(texts[0])["kind"] == "attack"


def test_runs_of_several_folders_are_kept_in_one(runs: Runs, tmp_path: pathlib.Path) -> None:
    other = Runs(tmp_path / "other", "fashion_mnist")
    other.complete(AS_CLAIMED)
    study, copy = Study.read(runs.root, other.root), tmp_path / "kept"
    assert keep(study, copy) == 43
    lines = list(Report(Study.read(copy), FOLDER).lines())
    assert lines == list(Report(study, FOLDER).lines())
    with pytest.raises(InputError, match="holds the runs themselves"):
        keep(study, runs.root)
    again = Runs(tmp_path / "again")
    again.run("GFZ")
    with pytest.raises(InputError, match=r"again/mnist/GFZ and .*runs/mnist/GFZ would be kept in"):
        keep(Study.read(runs.root, again.root), tmp_path / "twice")
    assert not (tmp_path / "twice").exists()
