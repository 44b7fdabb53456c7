"""Thresholds at their edges, which detectors a guard may use, and files of fitted detectors."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tests.detection.test_detectors import DETECTORS, class_logits
from tf_deepbayes.core import files
from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.detection import selection
from tf_deepbayes.detection.detectors import Detector, Divergence, Logit, Marginal
from tf_deepbayes.detection.thresholds import THRESHOLDS, published_threshold, quantile_threshold
from tf_deepbayes.runs import detector_files
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.detector_files import FitSettings
from tf_deepbayes.runs.state.identity import weights_digest

SETTINGS = FitSettings("GFZ", "abc", 10, 0, 500, 0.05, "published")
CONFIG = RunConfig("GFZ", "mnist_5k", Architecture((28, 28, 1), 10, 64, 500), "l2", 0, {})


@pytest.mark.parametrize("rate", [1e-6, 0.01, 0.05, 0.29, 0.5, 0.95, 1 - 1e-6])
@pytest.mark.parametrize("count", [1, 2, 20, 100, 1237])
def test_a_quantile_never_exceeds_the_rate_and_is_within_one_score_of_it(
    rate: float, count: int
) -> None:
    random = np.random.default_rng(count)
    scores = random.normal(size=count)
    found = np.mean(scores > quantile_threshold(scores, rate)[0])
    assert rate - 1 / count < found <= rate
    tied = random.integers(4, size=count).astype(float)
    assert np.mean(tied > quantile_threshold(tied, rate)[0]) <= rate


def test_the_published_search_ends_where_alpha_does() -> None:
    scores = np.random.default_rng(0).normal(size=5000)
    mean, std = scores.mean(), scores.std()
    for rate, end in ((1e-6, 3.0), (0.9, 0.0)):
        threshold, alpha = published_threshold(scores, rate)
        assert alpha == pytest.approx(end, abs=1e-5)
        assert threshold == pytest.approx(mean + end * std, abs=1e-5)


@pytest.mark.parametrize("find", THRESHOLDS.values())
@pytest.mark.parametrize("count", [1, 3, 50])
@pytest.mark.parametrize("value", [0.1, -137.60585, 0.0])
def test_equal_scores_are_accepted(find: Callable, count: int, value: float) -> None:
    threshold, alpha = find(np.full(count, value), 0.05)
    assert threshold == value and alpha == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("kind", THRESHOLDS)
def test_a_class_with_one_image_has_its_score_as_threshold(kind: str) -> None:
    logits, labels = class_logits(60)
    one = np.concatenate([np.flatnonzero(labels != 2), np.flatnonzero(labels == 2)[:1]])
    detector = Logit(kind)
    detector.fit(logits[one], labels[one])
    assert detector.thresholds is not None and detector.alphas is not None
    assert detector.thresholds[2] == -logits[one[-1], 2]
    assert not detector.reject(logits[one[-1:]], [2]).any()
    assert detector.reject(logits[one[-1:]] - 1e-6, [2]).all()
    assert np.isfinite(detector.standard_score(logits)).all()


@pytest.mark.parametrize("make", DETECTORS)
@pytest.mark.parametrize("kind", THRESHOLDS)
def test_saturated_classifiers_are_scored_in_finite_numbers(
    make: Callable[[str], Detector], kind: str
) -> None:
    """Gaps of 5,000 nats: p(y|x) is 0 and 1 in every floating-point format."""
    logits, labels = class_logits()
    detector = make(kind).fit(1000 * logits, labels)
    assert np.isfinite(detector.standard_score(1000 * logits)).all()
    assert 0 <= detector.reject(1000 * logits).mean() < 0.2


@pytest.mark.parametrize("make", DETECTORS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused_everywhere(
    make: Callable[[str], Detector], bad: float
) -> None:
    logits, labels = class_logits()
    detector = make("published").fit(logits, labels)
    broken = logits.copy()
    broken[3, 1] = bad
    for action in (
        lambda: make("published").fit(broken, labels),
        lambda: detector.score(broken),
        lambda: detector.standard_score(broken),
        lambda: detector.reject(broken),
    ):
        with pytest.raises(ValueError, match="finite, got NaN or infinite values; drop"):
            action()


def test_a_guard_without_p_x_has_no_detector_on_it() -> None:
    assert selection.detector_names(None, has_p_x=True) == ["marginal", "logit", "kl", "tv"]
    assert selection.detector_names(None, has_p_x=False) == ["kl", "tv"]
    assert selection.detector_names(["tv", "tv"], has_p_x=False) == ["tv"]
    for asked in (["marginal"], ["kl", "logit"]):
        with pytest.raises(ValueError, match=r"need p\(x\).*not densities; choose from kl, tv"):
            selection.detector_names(asked, has_p_x=False)
    with pytest.raises(ValueError, match="unknown detector 'js'; choose from marginal, logit"):
        selection.detector_names(["js"], has_p_x=True)
    with pytest.raises(ValueError, match="at least one detector"):
        selection.detector_names([], has_p_x=True)


@pytest.mark.parametrize("kind", THRESHOLDS)
def test_detectors_come_back_from_their_file_to_the_bit(kind: str, tmp_path: pathlib.Path) -> None:
    logits, labels = class_logits()
    fitted = selection.fit_all(logits, labels, True, 0.07, kind)
    path = tmp_path / SETTINGS.file_name
    detector_files.write_detectors(path, CONFIG, SETTINGS, fitted)
    read = detector_files.read_detectors(path)
    assert list(read) == list(fitted) == ["marginal", "logit", "kl", "tv"]
    for name, detector in read.items():
        assert type(detector) is type(fitted[name])
        assert vars(detector).keys() == vars(fitted[name]).keys()
        for field, value in vars(fitted[name]).items():
            np.testing.assert_array_equal(getattr(detector, field), value)
        np.testing.assert_array_equal(detector.reject(logits - 1), fitted[name].reject(logits - 1))
    assert detector_files.read_settings(path, "mnist_5k", weights="abc", num_samples=10) == SETTINGS


def test_a_file_that_names_neither_noise_nor_mode_is_of_the_published(
    tmp_path: pathlib.Path,
) -> None:
    """Such were written before there was another."""
    content = content_of(tmp_path)
    del content["settings"]["noise"]
    assert "mode" not in content["settings"]  # as in those
    files.write_json(tmp_path / "old.json", content)
    found = detector_files.read_settings(tmp_path / "old.json", "mnist_5k", mode="sample")
    assert found == SETTINGS


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"data": "mnist"}, "with data mnist_5k and the guard has mnist"),
        ({"weights": "abd"}, "with weights abc and the guard has abd"),
        ({"num_samples": 2}, "with num_samples 10 and the guard has 2"),
        ({"noise": "qmc"}, "with noise independent and the guard has qmc"),
        ({"mode": "mean"}, "with mode sample and the guard has mean"),
    ],
)
def test_a_file_fitted_on_another_guard_is_refused(
    expected: dict[str, Any], message: str, tmp_path: pathlib.Path
) -> None:
    fitted = selection.fit_all(*class_logits(), True)
    detector_files.write_detectors(tmp_path / "t.json", CONFIG, SETTINGS, fitted)
    with pytest.raises(ValueError, match=message):
        detector_files.read_settings(tmp_path / "t.json", **{"data": "mnist_5k", **expected})


def test_settings_that_differ_have_files_of_their_own() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"num_samples": 20},
        {"noise": "shared"},
        {"mode": "mean"},
        {"seed": 1},
        {"num_train": 50},
        {"false_positive_rate": 0.005},
        {"threshold": "quantile"},
    ]
    names = {dataclasses.replace(SETTINGS, **change).file_name for change in changes}
    assert len(names) == len(changes)
    assert "thresholds_published_fpr0.5_K10_n500_seed0.json" in names


def test_the_digest_is_of_the_weights() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    before = weights_digest(model)
    assert before == weights_digest(model)
    kernel, bias = model.get_weights()
    model.set_weights([kernel, bias + 1e-6])
    assert weights_digest(model) != before


def content_of(tmp_path: pathlib.Path) -> dict[str, Any]:
    """The content of a whole file."""
    fitted = selection.fit_all(*class_logits(), True)
    detector_files.write_detectors(tmp_path / "whole.json", CONFIG, SETTINGS, fitted)
    return json.loads((tmp_path / "whole.json").read_text())


DAMAGE: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda c: c.update(kind="attack"), "is not the result of kind 'thresholds'"),
    (lambda c: c.update(figures={}), "holds no detectors"),
    (lambda c: c.update(figures=[1]), "holds no detectors"),
    (lambda c: c["figures"].update(kl=3), "detector 'kl': not a fitted detector"),
    (lambda c: c["figures"]["kl"].pop("class_probabilities"), "class_probabilities"),
    (lambda c: c["figures"]["kl"].update(class_probabilities=[[1.0]]), "2 axes of length C"),
    (lambda c: c["figures"]["tv"]["class_probabilities"][0].__setitem__(0, 3.0), "probabilities"),
    (lambda c: c["figures"]["logit"].update(thresholds=[]), "thresholds must have 1 axes"),
    (lambda c: c["figures"]["logit"]["means"].pop(), "means must have"),
    (lambda c: c["figures"]["logit"].update(thresholds=None), "thresholds must have"),
    (lambda c: c["figures"]["logit"].update(alphas=["a", "b", "c"]), "not a fitted detector"),
    (lambda c: c["figures"]["logit"]["stds"].__setitem__(0, -1.0), "stds must be at least 0"),
    (lambda c: c["figures"]["logit"]["means"].__setitem__(0, float("nan")), "finite"),
    (lambda c: c["figures"]["logit"].update(false_positive_rate=2), "must be in \\(0, 1\\)"),
    (lambda c: c["figures"]["logit"].update(threshold="median"), "published, quantile"),
    (lambda c: c["figures"]["logit"].update(detector="js"), "unknown detector 'js'"),
    (lambda c: c["figures"].update(logit=c["figures"]["kl"]), "of another name"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_damaged_and_foreign_files_are_refused(
    damage: Callable[[dict[str, Any]], Any], message: str, tmp_path: pathlib.Path
) -> None:
    content = content_of(tmp_path)
    damage(content)
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        detector_files.read_detectors(path)
    assert str(path) in str(error.value)


def test_half_a_file_and_settings_that_say_nothing_are_refused(tmp_path: pathlib.Path) -> None:
    content = content_of(tmp_path)
    path = tmp_path / "damaged.json"
    text = json.dumps(content)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match="as JSON"):
        detector_files.read_detectors(path)
    with pytest.raises(ValueError, match="found none"):
        detector_files.read_detectors(tmp_path / "absent.json")
    path.write_text(json.dumps({**content, "settings": {"seed": 0}}))
    with pytest.raises(ValueError, match="does not say what it was fitted with"):
        detector_files.read_settings(path, "mnist_5k")


def test_an_unfitted_detector_is_not_written(tmp_path: pathlib.Path) -> None:
    for detector in (Marginal(), Divergence("tv")):
        with pytest.raises(ValueError, match="not fitted yet; call fit"):
            detector_files.write_detectors(tmp_path / "t.json", CONFIG, SETTINGS, {"x": detector})
        with pytest.raises(ValueError, match="not fitted yet; call fit"):
            detector.standard_score(np.zeros((1, 3)))
    assert not list(tmp_path.iterdir())
