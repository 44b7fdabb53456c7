"""Pictures of detection and transfer say their numbers, and are absent without them."""

import pathlib

import pytest

from tests.study.synthetic import Runs
from tf_deepbayes.study.keep import keep
from tf_deepbayes.study.page import pictures
from tf_deepbayes.study.page.views.transfer import transfer_view
from tf_deepbayes.study.published import frame
from tf_deepbayes.study.report import Report
from tf_deepbayes.study.results import Study

NONE = frame([])


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> Runs:
    found = Runs(tmp_path / "runs")
    for model in ("GFZ", "GBZ"):
        found.run(model)
        for eps in (0.1, 0.2, 0.3):
            name = found.attack(model, eps, 0.5)
            found.detect(model, name, {"logit": 0.8, "tv": 0.7})
    return found


def roc_of(root: pathlib.Path) -> list[pictures.Picture]:
    report = Report(Study.read(root))
    return list(pictures.roc_curves(report.results, report.tables[0]))


def test_a_roc_picture_is_of_the_middle_size_and_survives_keeping(
    runs: Runs, tmp_path: pathlib.Path
) -> None:
    (title, picture), *others = roc_of(runs.root)
    assert title == "ROC of logit: FGSM on mnist, ε = 0.2" and not others  # tv is not the paper's
    assert "GFZ 0.950, GBZ 0.950" in picture and picture.count("var(--GBZ)") >= 1
    keep(Study.read(runs.root), tmp_path / "kept")
    assert [one[0] for one in roc_of(tmp_path / "kept")] == [title]


def test_the_plane_goes_from_the_attack_to_the_one_past_the_detector(runs: Runs) -> None:
    report = Report(Study.read(runs.root))
    assert list(pictures.evasion_planes(report.results, "mnist")) == []
    plain = runs.attack("GBZ", 0.2, 0.25, "superwhite")
    path = runs.folder("GBZ") / "attacks" / f"{plain}.json"
    text = path.read_text()
    evading = f"{plain}_logit"
    past = text.replace('"detector": null', '"detector": {"name": "logit"}')
    assert past != text
    path.with_stem(evading).write_text(past)
    runs.detect("GBZ", plain, {"logit": 0.9})
    runs.detect("GBZ", evading, {"logit": 0.3})
    report = Report(Study.read(runs.root))
    ((title, picture),) = pictures.evasion_planes(report.results, "mnist")
    assert title == "Past the logit detector: superwhite on mnist, ε = 0.2"
    assert "detected 0.900 to 0.300" in picture
    path.with_stem(evading).write_text(past.replace('"num_samples": 10', '"num_samples": 100'))
    report = Report(Study.read(runs.root))  # past the detector with another K
    assert list(pictures.evasion_planes(report.results, "mnist")) == []


def test_a_heat_map_has_the_accuracy_of_each_pair(runs: Runs) -> None:
    assert list(pictures.heat_maps(transfer_view(Study.read(runs.root), NONE))) == []
    name = runs.attack("GFZ", 0.1, 0.5, "pgd")
    runs.detect("GFZ", name, {"kl": 0.8}, "GBZ", transferred={"successful_attacks": 40})
    ((title, picture),) = pictures.heat_maps(transfer_view(Study.read(runs.root), NONE))
    assert title == "Accuracy on all attacked images of another model: PGD, ε 0.1 on mnist"
    assert "GFZ by GBZ 0.800" in picture and ">0.80<" in picture
