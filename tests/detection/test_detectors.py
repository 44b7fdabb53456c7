"""The detectors against the published code's numbers, and their behaviour."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.conftest import golden
from tf_deepbayes.detection.detectors import Detector, Divergence, Logit, Marginal
from tf_deepbayes.detection.figures import detection_figures, published_kl_rate
from tf_deepbayes.detection.thresholds import THRESHOLDS, published_threshold

DETECTORS: list[Callable[[str], Detector]] = [
    Marginal,
    Logit,
    lambda kind: Divergence("kl", kind),
    lambda kind: Divergence("tv", kind),
]


def class_logits(count: int = 500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of three classes whose argmax is mostly the label."""
    random = np.random.default_rng(seed)
    labels = random.integers(3, size=count)
    return random.normal(size=(count, 3)) - 50 + 4 * np.eye(3)[labels], labels


@pytest.mark.parametrize("case", ["gauss5000", "small10", "const", "heavy", "bimodal", "ints"])
@pytest.mark.parametrize("high", [0, 1])
@pytest.mark.parametrize("percent", [5, 1])
def test_published_search_ends_at_the_published_alpha(case: str, high: int, percent: int) -> None:
    data = golden("detection")
    alpha, rate = data[f"search/{case}/plus{high}_target{percent}"]
    x = data[f"search/{case}/x"]
    scores = x if high else -x
    threshold, found = published_threshold(scores, percent / 100)
    assert found == pytest.approx(alpha, abs=1e-7)
    assert 100 * np.mean(scores > threshold) == pytest.approx(rate, abs=1e-6)


@pytest.mark.parametrize(
    ("detector", "name", "rate"),
    [
        (Marginal(), "marginal", "TP_logpx"),
        (Logit(), "logit", "TP_logpxy"),
        (Divergence("kl"), "kl", "TP_kl_if_index_bug_fixed"),
    ],
)
def test_detectors_equal_the_published_ones(detector: Detector, name: str, rate: str) -> None:
    data = golden("detection")
    detector.fit(data["train_logits"], data["train_labels"], 0.05)
    assert detector.alphas is not None and detector.thresholds is not None
    np.testing.assert_allclose(detector.alphas, data[f"direct/{name}/alpha"], atol=1e-4)
    delta = data[f"direct/{name}/delta"]
    np.testing.assert_allclose(np.abs(detector.thresholds), np.abs(delta), rtol=1e-5)
    assert detector.training_rates is not None
    # The search ends on a score, which float32 and float64 may put on either side: one of 160.
    published = data[f"direct/{name}/fp"]
    np.testing.assert_allclose(100 * detector.training_rates, published, atol=0.65)
    clean, labels = data["clean_logits"], data["clean_labels"]
    adversarial, saved = data["adv_logits"], data["adv_logits_saved"].argmax(1)
    key = "detection_rate" if name == "marginal" else "detection_rate_class_mean"

    own = detection_figures(detector, clean, labels, adversarial, labels, saved)
    assert 100 * own[key] == pytest.approx(float(data[f"script_self/{rate}"]), abs=1e-6)
    assert own["transferred"] is None

    guard = adversarial.argmax(1)
    moved = detection_figures(detector, clean, labels, adversarial, labels, saved, guard)
    transferred = float(data[f"script_transfer/{rate}"])
    assert 100 * moved["transferred"][key] == pytest.approx(transferred, abs=1e-6)
    assert moved["successful_attacks"] == own["successful_attacks"] == 893
    assert moved["transferred"]["successful_attacks"] == 889


def test_the_published_kl_figure_keeps_its_error() -> None:
    data = golden("detection")
    detector = Divergence("kl").fit(data["train_logits"], data["train_labels"], 0.05)
    adversarial, labels = data["adv_logits"], data["clean_labels"]
    for case, logits in (("self", data["adv_logits_saved"]), ("transfer", adversarial)):
        rate = published_kl_rate(detector, adversarial, labels, logits.argmax(1))
        assert rate is not None
        assert 100 * rate == pytest.approx(float(data[f"script_{case}/TP_kl"]), abs=1e-6)
    assert published_kl_rate(detector, adversarial, labels, labels) is None


@pytest.mark.parametrize("make", DETECTORS)
@pytest.mark.parametrize("kind", THRESHOLDS)
def test_the_rate_asked_for_is_the_rate_on_training_data(
    make: Callable[[str], Detector], kind: str
) -> None:
    logits, labels = class_logits(3000)
    detector = make(kind).fit(logits, labels, 0.1)
    assert detector.reject(logits, labels).mean() == pytest.approx(0.1, abs=0.01)


def test_unlikely_images_are_rejected() -> None:
    logits, labels = class_logits()
    for detector in (Marginal(), Logit()):
        detector.fit(logits, labels)
        assert detector.reject(logits[:50] - 30).all()
        assert detector.score(logits - 30).mean() > detector.score(logits).mean()


def test_a_divergence_of_p_from_itself_is_zero() -> None:
    logits, labels = class_logits()
    for divergence in ("kl", "tv"):
        detector = Divergence(divergence)
        detector.fit(logits, labels)
        assert detector.class_probabilities is not None
        own = np.log(detector.class_probabilities)
        np.testing.assert_allclose(detector.score(own, np.arange(3)), 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: Marginal().reject(np.zeros((1, 3))), "call fit"),
        (lambda: Marginal("median"), "published, quantile"),
        (lambda: Divergence("js"), "kl, tv"),
        (lambda: Logit().fit(np.zeros((2, 3)), [0, 1]), r"no training images of classes \[2\]"),
        (lambda: Logit().fit(np.full((2, 3), np.nan), [0, 1]), "finite"),
        (lambda: Logit().fit(np.zeros((3, 3)), [0, 1, 2], 1.5), "false_positive_rate"),
    ],
)
def test_bad_input_is_refused_in_words(action: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        action()
