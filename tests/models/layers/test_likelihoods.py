"""The likelihoods: normalised, at their documented distance from the published expressions."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import golden
from tf_deepbayes.models.layers import likelihoods

CONTINUOUS = {"l2": 1, "l1": 1, "gaussian": 2, "logit_laplace": 1}


def density(name: str, raw: list[float], x: np.ndarray) -> np.ndarray:
    """log p(x | raw) of one pixel, `[len(x)]`."""
    distribution = likelihoods.get(name).distribution(tf.constant([[[raw]]]), 3)
    return np.array([distribution.log_prob(np.full((1, 1, 1), v, np.float32)) for v in x])


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_likelihoods_integrate_to_one(name: str) -> None:
    # logit_laplace lives where 0.01 + 0.98 x is in (0, 1).
    low, high = (-0.0102, 1.0102) if name == "logit_laplace" else (-12.0, 12.0)
    x = np.linspace(low, high, 4001)[1:-1]
    raw = [0.3, -0.5][: CONTINUOUS[name]]
    log_p = likelihoods.get(name).distribution(tf.constant([[[raw]]]), 3)
    values = log_p.log_prob(x.astype(np.float32)[:, None, None, None]).numpy()
    assert np.trapezoid(np.exp(values), x) == pytest.approx(1.0, abs=0.01)


def test_discrete_likelihoods_sum_to_one() -> None:
    levels = np.arange(256) / np.float32(255)
    for raw in ([0.4, -2.0], [3.0, -4.0], [-5.0, 0.0]):
        log_p = density("discretised_logistic", raw, levels)
        assert np.exp(log_p).sum() == pytest.approx(1.0, abs=1e-4)
    assert np.exp(density("bernoulli", [0.7], np.array([0, 1]))).sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "published"),
    [("l2", lambda x, m: -((x - m) ** 2)), ("l1", lambda x, m: -abs(x - m))],
)
def test_offsets_lead_back_to_the_published_expressions(name: str, published: object) -> None:
    mean = 1 / (1 + np.exp(-0.4))
    ours = density(name, [0.4], np.array([0.9]))[0] - likelihoods.get(name).offset
    assert ours == pytest.approx(published(0.9, mean), rel=1e-5)  # type: ignore[operator]


def test_logistic_equals_the_published_one_and_the_correct_one_where_the_floor_is_right() -> None:
    data = golden("functions")
    x = data["logistic/x"]
    mean = data["logistic/mu"]
    raw = np.stack([np.log(mean / (1 - mean)), data["logistic/log_scale"]], axis=-1)
    make = lambda name: likelihoods.get(name).distribution(raw[:, :, None], 3)  # noqa: E731
    published = make("logistic_cdf").log_prob(x[:, :, None, None])
    np.testing.assert_allclose(published, data["logistic/logp"], rtol=1e-4, atol=1e-3)
    pixel = likelihoods.get("logistic_cdf").make(mean, data["logistic/log_scale"])
    right = np.round(x * 255) == np.floor(x / np.float32(1 / 255))
    inner = right & (x > 0) & (x < 1)
    correct = likelihoods.get("discretised_logistic").make(mean, data["logistic/log_scale"])
    np.testing.assert_allclose(
        pixel.log_prob(x).numpy()[inner], correct.log_prob(x).numpy()[inner], atol=2e-3
    )
    assert 0.3 < right.mean() < 0.9  # float32 floors fall short for many levels


def test_gaussian_equals_the_published_one() -> None:
    data = golden("functions")
    pixels = likelihoods.get("gaussian").make(data["gauss/mu"], data["gauss/log_sig"])
    total = tf.reduce_sum(pixels.log_prob(data["gauss/x"]), [1, 2])
    np.testing.assert_allclose(total, data["gauss/logp"], rtol=1e-5)


def test_bernoulli_equals_the_published_one_off_its_clip_and_keeps_its_gradient_there() -> None:
    data = golden("functions")
    p, x = data["bern/p"], data["bern/x"]
    inner = (p > 1e-6) & (p < 1 - 1e-6)
    logits = tf.constant(np.log(p[inner] / (1 - p[inner])))
    ours = likelihoods.get("bernoulli").make(logits).log_prob(x[inner])
    np.testing.assert_allclose(ours, data["bern/logp"][inner[:, 0]], rtol=1e-4, atol=1e-6)
    saturated = tf.constant([-60.0])
    with tf.GradientTape() as tape:
        tape.watch(saturated)
        log_p = likelihoods.get("bernoulli").make(saturated).log_prob([1.0])
    assert log_p.numpy()[0] == pytest.approx(-60.0)
    assert tape.gradient(log_p, saturated).numpy()[0] == pytest.approx(1.0)


@pytest.mark.parametrize("name", likelihoods.LIKELIHOODS)
def test_every_likelihood_makes_finite_densities_and_pictures(name: str) -> None:
    likelihood = likelihoods.get(name)
    raw = np.random.default_rng(0).normal(size=(2, 4, 4, 3 * likelihood.num_parameters))
    distribution = likelihood.distribution(tf.constant(raw, tf.float32), 3)
    x = np.random.default_rng(1).uniform(size=(2, 4, 4, 3)).astype(np.float32)
    x[0, 0], x[1, 0] = 0.0, 1.0
    assert np.isfinite(distribution.log_prob(likelihood.transform(x))).all()
    picture = likelihood.picture(distribution).numpy()
    assert picture.shape == x.shape
    assert picture.min() >= 0 and picture.max() <= 1
