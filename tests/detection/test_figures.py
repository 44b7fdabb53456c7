"""The figures of a detection against counts made by hand, and ROC curves against their meaning."""

import json
import pathlib

import numpy as np
import pytest

from tests.detection.test_detectors import class_logits
from tf_deepbayes.core.metrics import confidence_interval
from tf_deepbayes.detection.detectors import Divergence, Logit, Marginal
from tf_deepbayes.detection.figures import detection_figures
from tf_deepbayes.detection.roc import roc
from tf_deepbayes.reporting.roc_figure import roc_figure, write_roc_figure


def likelihoods(values: list[float], predicted: list[int]) -> np.ndarray:
    """Logits of three classes whose argmax and log p̂(x, F(x)) are those given."""
    logits = np.tile(np.array(values)[:, None] - 5.0, (1, 3))
    logits[np.arange(len(values)), predicted] = values
    return logits


def fitted_logit() -> Logit:
    """A logit detector whose threshold is 10 for every class: it rejects log p̂(x, F(x)) < −10."""
    labels = np.repeat([0, 1, 2], 10)
    logits = likelihoods([-9.0] * 30, labels.tolist())
    logits[::10] -= 1.0
    detector = Logit("quantile")
    detector.fit(logits, labels, 0.01)
    assert detector.thresholds is not None
    np.testing.assert_allclose(detector.thresholds, 10.0)
    return detector


def test_figures_are_counts_of_images() -> None:
    #            undetected  detected  undetected  no success  no success, rejected
    predicted = [1, 1, 2, 0, 2]
    labels = [0, 0, 0, 0, 2]
    adversarial = likelihoods([-9, -20, -9, -9, -20], predicted)
    clean_labels = [0, 0, 1, 1]
    clean = likelihoods([-9, -9, -9, -20], clean_labels)
    figures = detection_figures(
        fitted_logit(),
        clean,
        np.array(clean_labels),
        adversarial,
        np.array(labels),
        np.array(predicted),
    )
    assert figures["successful_attacks"] == 3
    assert figures["successful_attacks_per_class"] == [0, 2, 1]
    assert figures["detection_rate"] == pytest.approx(1 / 3)
    assert figures["detection_rate_interval"] == confidence_interval(1 / 3, 3)
    assert figures["detection_rate_per_class"] == [None, 0.5, 0.0]
    assert figures["detection_rate_per_class_interval"][0] is None
    assert figures["detection_rate_per_class_interval"][1] == confidence_interval(0.5, 2)
    assert figures["detection_rate_class_mean"] == 0.25
    assert figures["misclassified_undetected"] == pytest.approx(2 / 5)
    assert figures["misclassified_undetected_interval"] == confidence_interval(2 / 5, 5)
    assert figures["misclassified_undetected_per_class"] == [0.0, 0.5, 0.5]
    assert figures["false_positive_rate"] == 0.25
    assert figures["false_positive_rate_per_class"] == [0.0, 0.5, None]
    assert figures["false_positive_rate_per_class_interval"][1] == confidence_interval(0.5, 2)


def test_the_victim_is_fooled_and_the_guard_detects() -> None:
    """Three images of class 0; the victim says 1 1 0, the guard 0 2 2 and rejects the last two."""
    labels, guard_predicted = np.zeros(3, int), [0, 2, 2]
    figures = detection_figures(
        fitted_logit(),
        likelihoods([-9], [0]),
        np.array([0]),
        likelihoods([-9, -20, -20], guard_predicted),
        labels,
        np.array([1, 1, 0]),
        np.array(guard_predicted),
    )
    assert figures["successful_attacks_per_class"] == [0, 2, 0]
    assert figures["detection_rate_per_class"] == [None, 0.5, None]
    assert figures["misclassified_undetected"] == pytest.approx(1 / 3)
    assert figures["transferred"]["successful_attacks"] == 2
    assert figures["transferred"]["detection_rate"] == 1.0
    assert figures["transferred"]["misclassified_undetected"] == 0.0


def test_without_a_successful_attack_there_is_no_rate() -> None:
    logits, labels = class_logits()
    predicted = logits.argmax(1)
    figures = detection_figures(
        Divergence("kl").fit(logits, labels), logits, labels, logits, predicted, predicted
    )
    for name in ("detection_rate", "detection_rate_interval", "detection_rate_class_mean"):
        assert figures[name] is None
    assert figures["published_kl_rate_wrong_rows"] is None
    assert figures["auroc"]["successful"] is None and figures["roc"]["successful"] is None
    assert figures["misclassified_undetected"] == 0.0
    assert json.loads(json.dumps(figures, allow_nan=False))["auroc"]["all"] == 0.5


@pytest.mark.parametrize("decimals", [0, 8])  # with many ties, and with none
def test_auroc_is_the_mann_whitney_statistic(decimals: int) -> None:
    random = np.random.default_rng(0)
    clean = random.normal(size=300).round(decimals)
    attacked = random.normal(0.7, 1.5, size=200).round(decimals)
    wins = (attacked[:, None] > clean).mean() + 0.5 * (attacked[:, None] == clean).mean()
    curve = roc(clean, attacked)
    assert curve.auroc == pytest.approx(wins, abs=1e-12)
    assert roc(attacked, clean).auroc == pytest.approx(1 - wins, abs=1e-12)
    thin = curve.thinned()
    assert len(thin.detection_rate) <= 200 and thin.auroc == pytest.approx(wins, abs=0.01)
    assert (thin.false_positive_rate[0], thin.detection_rate[0]) == (0.0, 0.0)
    assert (thin.false_positive_rate[-1], thin.detection_rate[-1]) == (1.0, 1.0)


def test_every_point_of_the_curve_is_a_threshold() -> None:
    clean, attacked = np.array([0.0, 1.0, 1.0, 2.0]), np.array([1.0, 3.0])
    curve = roc(clean, attacked)
    np.testing.assert_array_equal(curve.false_positive_rate, [0, 0, 0.25, 0.75, 1])
    np.testing.assert_array_equal(curve.detection_rate, [0, 0.5, 0.5, 1, 1])
    assert roc(np.zeros(5), np.zeros(3)).auroc == 0.5
    assert roc(np.zeros(5), np.ones(3)).auroc == 1.0


def test_standard_scores_compare_across_classes() -> None:
    """Class 1 is 100 nats less likely than class 0: raw scores would call all of it attacked."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 500)
    logits = np.stack([random.normal(-10 - 100 * labels), np.full(1000, -1000.0)], 1)
    logits[labels == 1] = logits[labels == 1][:, ::-1]
    detector = Logit()
    detector.fit(logits[::2], labels[::2])
    clean, attacked = logits[1::2], logits[1::2] - 3.0
    standard = roc(detector.standard_score(clean), detector.standard_score(attacked))
    raw = roc(detector.score(clean), detector.score(attacked))
    assert standard.auroc > 0.97 and raw.auroc < 0.8
    own = detector.standard_score(logits[::2])
    for c in (0, 1):
        assert own[labels[::2] == c].mean() == pytest.approx(0.0, abs=1e-9)
        assert own[labels[::2] == c].std() == pytest.approx(1.0)


def test_the_marginal_curve_is_that_of_the_score_itself() -> None:
    logits, labels = class_logits()
    attacked = logits - np.random.default_rng(1).normal(1.0, size=(len(logits), 1))
    detector = Marginal()
    detector.fit(logits, labels)
    standard = roc(detector.standard_score(logits), detector.standard_score(attacked))
    assert standard.auroc == roc(detector.score(logits), detector.score(attacked)).auroc


@pytest.mark.parametrize(
    ("clean", "attacked", "message"),
    [([], [1.0], "got 0 and 1"), ([1.0], [], "got 1 and 0"), ([np.nan], [1.0], "finite")],
)
def test_no_curve_of_nothing(clean: list, attacked: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        roc(np.array(clean), np.array(attacked))


def test_the_figure_draws_the_curves_it_is_given(tmp_path: pathlib.Path) -> None:
    logits, labels = class_logits()
    predicted = logits.argmax(1)
    for true, lines in (((labels + 1) % 3, [3, 5]), (predicted, [3, 1])):  # diagonal, curves, dots
        rows = [
            detection_figures(d.fit(logits, labels), logits, labels, logits - 3, true, predicted)
            for d in (Marginal(), Divergence("tv"))
        ]
        figure = roc_figure(rows, "title")
        assert [len(axes.lines) for axes in figure.axes] == lines
        drawn = np.asarray(figure.axes[0].lines[1].get_ydata())
        np.testing.assert_array_equal(drawn, rows[0]["roc"]["all"]["detection_rate"])
    write_roc_figure(tmp_path / "roc.png", rows, "title")
    assert (tmp_path / "roc.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["roc.png"]
