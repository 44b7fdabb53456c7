"""One call evaluates any classifier, and the report can be read, saved and drawn."""

import json
import pathlib

import keras
import numpy as np
import pytest

from tests.attacks.test_access import softmax_net
from tests.small import images
from tf_deepbayes.attacks import FGSM, PGD, GuideImages
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.robustness.report import Report, evaluate

X = images(12, shape=(8, 8, 1))
LOGITS, PROBABILITIES = softmax_net()
Y = np.asarray(LOGITS(X)).argmax(1)
EPS = 0.02


@pytest.fixture(scope="module")
def report() -> Report:
    return evaluate(LOGITS, X, Y, EPS, budget="quick")


def test_a_softmax_has_the_robustness_of_its_logits(report: Report) -> None:
    own = evaluate(PROBABILITIES, X, Y, EPS, budget="quick", outputs="probabilities")
    assert own.robust_accuracy == report.robust_accuracy
    assert own.clean_accuracy == report.clean_accuracy == 1.0
    np.testing.assert_allclose(own.images, report.images, atol=1e-6)
    with pytest.raises(InputError, match="pass outputs="):
        evaluate(PROBABILITIES, X, Y, EPS, budget="quick")


def test_it_says_what_was_found(report: Report) -> None:
    low, high = report.robust_accuracy_interval
    assert low <= report.robust_accuracy <= high and not report.samples
    assert report.robust_accuracy <= min(row["robust_accuracy"] for row in report.attacks)
    assert {check["verdict"] for check in report.checks} <= {"pass", "FAIL", "not applicable"}
    assert np.abs(report.images - X).max() <= EPS + 1e-6
    assert "worst case of each image" in str(report) and "eps 0.02" in str(report)


def test_a_saved_report_is_the_same(report: Report, tmp_path: pathlib.Path) -> None:
    report.save(tmp_path / "found")
    again = Report.load(tmp_path / "found")
    assert json.dumps(again.to_dict()) == json.dumps(report.to_dict())
    np.testing.assert_array_equal(again.images, report.images)
    assert str(again) == str(report)
    with pytest.raises(InputError, match="expected a file"):
        Report.load(tmp_path)


def test_the_picture_has_a_bar_for_everything(report: Report, tmp_path: pathlib.Path) -> None:
    figure = report.plot()
    (axes,) = figure.axes
    widths = [bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]
    expected = [1.0, *(row["robust_accuracy"] for row in report.attacks), report.robust_accuracy]
    assert widths == pytest.approx(expected)
    figure.savefig(tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 5000


def test_attacks_of_ones_own_guides_and_a_substitute() -> None:
    chosen = evaluate(
        LOGITS, X, Y, EPS, "quick", attacks=["fgsm", FGSM(loss="margin"), PGD(nb_iter=2)]
    )
    assert [row["name"] for row in chosen.attacks] == ["fgsm", "fgsm_#2", "pgd"]
    other = keras.models.clone_model(LOGITS)
    found = evaluate(LOGITS, X, Y, EPS, "quick", guides=GuideImages(X, Y), substitute=other)
    assert "transfer" in {row["name"] for row in found.attacks}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": "huge"}, "budget must be one of quick, standard, full"),
        ({"eps": 0.0}, "eps must be above 0"),
        ({"x": X * 255}, "divide bytes by 255"),
        ({"y": Y[:-1]}, "labels"),
        ({"attacks": []}, "at least one attack"),
        ({"attacks": ["pdg"]}, "unknown attack 'pdg'"),
    ],
)
def test_bad_arguments_are_refused(changes: dict, message: str) -> None:
    given = {"x": X, "y": Y, "eps": EPS, "budget": "quick"} | changes
    with pytest.raises(InputError, match=message):
        evaluate(LOGITS, **given)
