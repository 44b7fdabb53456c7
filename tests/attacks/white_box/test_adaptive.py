"""Attacks that know of the sampling, of the detector, or of the factors."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from tests.conftest import Golden, golden
from tests.rounding import assert_close
from tests.small import classifier, convnet, images, labels_of, noise_for
from tf_deepbayes.attacks import PGD, FeatureMatching, GuideImages, LogitMatching, Superwhite
from tf_deepbayes.attacks.white_box.superwhite import violation
from tf_deepbayes.core.axes import Array, LogWeightsFn, Tensor, log_mean_exp
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.detection.detectors import Detector, Divergence, Logit, Marginal
from tf_deepbayes.legacy.variables import model_from_params
from tf_deepbayes.models.classifier import LatentClassifier

GOLDEN = [
    (name, attack)
    for name in ("marginal", "logit", "kl")
    for attack in (f"superwhite_{name}_plain", f"superwhite_{name}_snapshot")
] + [("logit", "superwhite_logit_snapshot_ensemble")]


@functools.cache
def published() -> tuple[Golden, Golden, LatentClassifier]:
    model_file = golden("mnist_small_A")
    return golden("attacks"), model_file, model_from_params(model_file.group("param"), "A")


def published_detector(name: str, data: Golden, offset: float) -> Detector:
    """The detector whose thresholds the published run was given, in our nats."""
    params = data.group("A/superwhite_params")
    detector: Detector = {"marginal": Marginal, "logit": Logit, "kl": Divergence}[name]()
    moved = 0.0 if name == "kl" else offset
    detector.thresholds = np.broadcast_to(params[f"delta_{name}"] - moved, 10).astype(float)
    if isinstance(detector, Divergence):
        detector.class_probabilities = params["kl_prob_vec"]
    return detector


def published_log_weights(ensemble: bool, detector: Detector) -> LogWeightsFn:
    """Log weights with the noise of the published run; an ensemble's passes are normalised."""
    _, model_file, model = published()
    noise = model_file["eps/logits"].transpose(1, 0, 2, 3)
    if ensemble:
        assert detector.thresholds is not None
        detector.thresholds += model.published_offset
        return lambda x: tf.nn.log_softmax(model.log_weights(x, noise), axis=1)
    return lambda x: model.log_weights(x, noise)


@pytest.mark.parametrize(("name", "attack"), GOLDEN)
def test_gradients_equal_the_published_ones(name: str, attack: str) -> None:
    data, model_file, model = published()
    detector = published_detector(name, data, model.published_offset)
    log_weights_fn = published_log_weights(attack.endswith("ensemble"), detector)
    superwhite = Superwhite(
        detector=detector, snapshot="snapshot" in attack, gather="published", detection_lambda=0.1
    )
    labels = tf.constant(model_file["labels"])
    for step in range(5):
        before = data[f"A/{attack}/iter_adv"][step - 1] if step else model_file["x"]
        x = tf.constant(before)
        with tf.GradientTape() as tape:
            tape.watch(x)
            losses = superwhite.loss_fn()(labels, log_weights_fn(x))
            loss = tf.reduce_mean(losses)
        assert float(loss) == pytest.approx(float(data[f"A/{attack}/loss"][step]), abs=1e-3)
        expected = data[f"A/{attack}/grad"][step]
        found = tape.gradient(loss, x).numpy()
        assert_close(found, expected, 5e-4)


def random_logits(count: int = 60) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    return random.normal(scale=3.0, size=(count, 3)).astype(np.float32), np.arange(count) % 3


@pytest.mark.parametrize("detector", [Marginal(), Logit(), Divergence("kl"), Divergence("tv")])
def test_a_violation_is_what_the_detector_rejects(detector: Detector) -> None:
    logits, labels = random_logits()
    detector.fit(logits, labels, 0.3)
    found = violation(detector, tf.constant(logits)).numpy()
    np.testing.assert_array_equal(found > 1e-5, detector.reject(logits))
    assert detector.thresholds is not None
    excess = detector.score(logits) - detector.thresholds[logits.argmax(1)]
    np.testing.assert_allclose(found, np.maximum(excess, 0), atol=1e-5)


def test_published_gather_averages_over_the_classes_of_the_batch() -> None:
    logits, labels = random_logits()
    detector = Logit().fit(logits, labels, 0.3)
    assert detector.thresholds is not None
    above = np.maximum(-logits - detector.thresholds, 0)
    found = violation(detector, tf.constant(logits), "published")
    np.testing.assert_allclose(found, above[:, logits.argmax(1)].mean(1), atol=1e-5)


def test_snapshot_loss_is_the_mean_over_samples() -> None:
    random = np.random.default_rng(1)
    log_w = random.normal(size=(4, 3, 5)).astype(np.float32)
    labels = np.array([0, 1, 2, 0, 1])
    own = log_w[:, labels, range(5)]
    expected = (logsumexp(log_w, axis=1) - own).mean(0)
    loss = Superwhite(snapshot=True).loss_fn()(tf.constant(labels), tf.constant(log_w))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


NET = convnet()
X = images(12, shape=(8, 8, 1))
Y = labels_of(NET, X)


def log_weights_of_net(x: Tensor) -> Tensor:
    """A density-like classifier with two samples that disagree a little."""
    logits = tf.transpose(NET(x))
    return tf.stack([logits, 1.1 * logits])


def net_logits(x: Tensor) -> Tensor:
    return tf.transpose(log_mean_exp(log_weights_of_net(x), 0))


def test_it_lowers_accuracy_and_evades_the_detector_better_than_pgd() -> None:
    clean = net_logits(tf.constant(X)).numpy()
    detector = Logit()
    # A strict detector: it rejects four fifths of the clean images.
    detector.thresholds = np.full(5, np.quantile(-clean.max(1), 0.2))
    options = {"nb_iter": 30, "eps_iter": 0.01, "loss": "margin"}
    plain = PGD(**options)(net_logits, X, Y, 0.2)  # type: ignore[arg-type]
    adaptive = Superwhite(detector=detector, detection_lambda=1.0, **options)  # type: ignore[arg-type]
    evading = adaptive(log_weights_of_net, X, Y, 0.2)
    assert np.mean(labels_of(NET, evading) == Y) < 0.3
    rejected = [
        detector.reject(net_logits(tf.constant(a)).numpy()).mean() for a in (plain, evading)
    ]
    assert rejected[1] < rejected[0] - 0.2
    assert np.abs(evading - X).max() <= 0.2 + 1e-6


def test_a_detector_fitted_again_gets_a_trace_and_an_equal_one_shares_it() -> None:
    traces: list[Tensor] = []

    def log_weights(x: Tensor) -> Tensor:
        traces.append(x)  # only while it is traced
        return log_weights_of_net(x)

    def attacked(detector: Detector, rate: float) -> Array:
        detector.fit(net_logits(tf.constant(X)).numpy(), np.arange(12) % 5, rate)
        return Superwhite(detector=detector, detection_lambda=5.0)(log_weights, X, Y, 0.2)

    detector = Logit("quantile")
    before, now = (attacked(detector, rate) for rate in (0.01, 0.9))
    assert np.abs(now - before).max() > 0.01
    seen = len(traces)
    np.testing.assert_array_equal(attacked(Logit("quantile"), 0.9), now)
    assert len(traces) == seen


def test_an_image_does_not_depend_on_its_batch_mates() -> None:
    attack = Superwhite(nb_iter=3, snapshot=True, batch_size=7)
    together = attack(log_weights_of_net, X, Y, 0.1)
    alone = attack(log_weights_of_net, X[10:11], Y[10:11], 0.1)
    np.testing.assert_allclose(alone[0], together[10], atol=1e-6)
    np.testing.assert_array_equal(attack(log_weights_of_net, X, Y, 0.0), X)


def test_targets_are_reached() -> None:
    target = (Y + 1) % 5
    attack = Superwhite(targeted=True, nb_iter=40, loss="margin", snapshot=True)
    assert np.mean(labels_of(NET, attack(log_weights_of_net, X, target, 0.4)) == target) > 0.5


def test_matching_imitates_an_image_of_another_class() -> None:
    pool_images = images(40, seed=9, shape=(8, 8, 1))
    guides = GuideImages(pool_images, labels_of(NET, pool_images))
    attack = LogitMatching(guides=guides, nb_iter=40, batch_size=5)
    adversarial = attack(NET, X, Y, 0.3)
    assert np.abs(adversarial - X).max() <= 0.3 + 1e-6
    guide_logits = attack.guide_logits(NET, tf.constant(X), tf.constant(Y)).numpy()
    assert (guide_logits.argmax(1) != Y).all()
    before, after = (np.linalg.norm(NET(a) - guide_logits, axis=1) for a in (X, adversarial))
    assert np.mean(after < 0.6 * before) > 0.7
    assert np.mean(labels_of(NET, adversarial) != Y) > 0.5
    target = np.full(len(X), guides.labels[0])
    guide_logits = LogitMatching(guides=guides, targeted=True).guide_logits(
        NET, tf.constant(X), tf.constant(target)
    )
    assert (guide_logits.numpy().argmax(1) == target).all()


def test_features_are_matched_whatever_their_shape() -> None:
    guides = GuideImages(images(10, seed=9, shape=(8, 8, 1)), np.arange(10) % 5)
    features_fn = lambda x: NET.layers[0](x)  # noqa: E731
    attack = FeatureMatching(guides=guides, nb_iter=10)
    guide_logits = attack.guide_logits(features_fn, tf.constant(X), tf.constant(Y))
    moved = attack(features_fn, X, Y, 0.3)
    distance = lambda a: float(tf.norm(features_fn(tf.constant(a)) - guide_logits))  # noqa: E731
    assert distance(moved) < 0.9 * distance(X)


def test_a_pool_without_another_class_is_refused() -> None:
    with pytest.raises(InputError, match="no guide to imitate"):
        LogitMatching(guides=GuideImages(X[:2], Y[[0, 0]]))(NET, X[:1], Y[:1], 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gather": "mine"}, "gather must be one of"),
        ({"detection_lambda": -1.0}, "detection_lambda must be at least 0"),
        ({"detector": Logit()}, "call fit"),
    ],
)
def test_bad_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Superwhite(**options)


def test_what_is_no_guide_is_refused() -> None:
    with pytest.raises(InputError, match="guides must be GuideImages, got ndarray"):
        LogitMatching(guides=X)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["GFZ", "DFZ", "GBZ"])
def test_one_factor_alone(name: str) -> None:
    """log mean_k p(y_c | z_k^c, …) of the same samples, and its gradient."""
    model, x = classifier(name), tf.constant(images(3))
    noise = noise_for(model, 2, 3)
    observed, y = model.observe(x), tf.eye(3)[:, None]
    q = model.q_z_xy(observed, y).distribution
    terms = model.log_joint(observed, y, q.loc + q.scale * noise)
    assert model.label_factor is not None
    found = model.log_weights(x, noise, factor=model.label_factor)
    np.testing.assert_allclose(found, terms[model.label_factor], atol=1e-4)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model.logits(x, noise, factor=model.label_factor)
    assert np.abs(tape.gradient(logits, x)).max() > 0


def test_a_factor_that_is_not_there_is_refused() -> None:
    model = classifier("GFY")
    assert model.label_factor is None
    with pytest.raises(InputError, match=r"GFY has no factor 'p\(y\|z\)'; choose one of p\(y\)"):
        model.log_weights(images(1), factor="p(y|z)")
