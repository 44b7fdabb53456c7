"""Noise schemes: each draw standard normal, the estimate unbiased, the same for any blocks."""

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import ndtr
from scipy.stats import kstest, qmc

from benchmark.noise import per_image
from tests.exported import write_run
from tests.inference.test_linear_gaussian import LinearGaussian
from tests.small import VECTORS, classifier, images
from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.export.signatures import Signatures
from tf_deepbayes.inference.noise import (
    INDEPENDENT,
    SCHEMES,
    SOBOL_BITS,
    fixed_noise,
    noise_source,
    sobol_point,
)
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.runs.run import Run

NAMES = list(SCHEMES)
OTHERS = [name for name, scheme in SCHEMES.items() if not scheme.per_class]
X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def draws(scheme: str, num_samples: int, batch: int, dim_z: int = 4, seed: int = 0) -> np.ndarray:
    """`[K, C or 1, B, dim_z]` of three classes."""
    draw = noise_source(scheme, tf.constant([seed, 1], tf.int64), 3, batch, dim_z)
    return draw.noise(tf.constant(0), tf.constant(num_samples)).numpy()


@pytest.mark.parametrize("scheme", NAMES)
def test_every_draw_is_standard_normal_for_itself(scheme: str) -> None:
    noise = draws(scheme, 7, 4000)
    assert noise.shape == (7, 3 if SCHEMES[scheme].per_class else 1, 4000, 4)
    for k in range(7):
        assert kstest(noise[k].ravel(), "norm").pvalue > 1e-3
        across = np.corrcoef(noise[k].reshape(-1, 4).T)
        assert np.abs(across - np.eye(4)).max() < 0.08  # coordinates; 5 / √4000
    assert not np.array_equal(noise, draws(scheme, 7, 4000, seed=1))


def test_independent_noise_is_that_of_the_seed_and_the_sample_alone() -> None:
    """What earlier results were drawn with."""
    seeds = tf.constant([4, 1], tf.int64)
    own = [tf.random.experimental.stateless_fold_in(seeds, k) for k in range(5)]
    noise = tf.stack([tf.random.stateless_normal([3, 4, 4], seed) for seed in own])
    model = classifier("GBY", VECTORS)
    found = model.log_weights(X, num_samples=5, seed=4)
    np.testing.assert_array_equal(found, model.log_weights(X, noise))


@pytest.mark.parametrize("num_samples", [1, 6, 7])
def test_antithetic_draws_come_in_pairs(num_samples: int) -> None:
    noise = draws("antithetic", num_samples, 5)
    pairs = num_samples // 2
    np.testing.assert_array_equal(noise[1::2], -noise[0 : 2 * pairs : 2])
    firsts = noise[::2].reshape(num_samples - pairs, -1)
    assert len(np.unique(firsts, axis=0)) == len(firsts)  # the odd one is a draw of its own


def test_quasi_random_draws_fill_every_interval_once() -> None:
    """Of 16 points, each of 16 intervals has one, in every coordinate and for every shift."""
    uniform = ndtr(draws("qmc", 16, 50, dim_z=64).astype(np.float64))
    gaps = np.diff(np.sort(uniform, axis=0), axis=0)
    np.testing.assert_allclose(gaps, 1 / 16, atol=1e-5)
    assert np.ptp(uniform[0], axis=1).min() > 0.8  # a shift for each image


def test_points_are_those_of_scipy() -> None:
    expected = qmc.Sobol(9, scramble=False).random(64)
    found = [sobol_point(tf.constant(k), 9) for k in range(64)]
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    late = qmc.Sobol(9, scramble=False).fast_forward(123_456).random(1)
    np.testing.assert_allclose(sobol_point(tf.constant(123_456), 9), late[0], atol=2**-20)


@pytest.mark.parametrize("scheme", OTHERS)
def test_blocks_gradients_and_single_classes_see_the_same_noise(scheme: str) -> None:
    """All are those of the noise written out, for any block size."""
    options: dict[str, Any] = {"num_samples": 5, "seed": 4, "scheme": scheme}
    model = classifier("GFZ", VECTORS)
    noise = noise_source(scheme, tf.constant([4, 1], tf.int64), 3, len(X), 4).noise(0, 5)

    def value_and_gradient(given: dict[str, Any]) -> tuple[Tensor, Tensor]:
        x = tf.constant(X)
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = model.logits(x, **given)
        return logits, tape.gradient(logits, x)

    expected = value_and_gradient({"noise": noise})
    for block_size in (10_000, 20, 1):
        model.block_size = block_size
        for value, wanted in zip(value_and_gradient(options), expected, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-5)
        wanted_pairs = np.eye(4, 3, dtype=bool)
        some = model.class_logits(X, wanted_pairs, **options).numpy()
        np.testing.assert_allclose(some[wanted_pairs], expected[0][wanted_pairs], rtol=1e-4)


@pytest.mark.parametrize("scheme", OTHERS)
def test_one_trace_serves_every_seed_and_size(scheme: str) -> None:
    model = classifier("DBX", VECTORS)
    for count, num_samples in ((4, 2), (2, 2), (1, 7), (4, 1), (1, 1000)):
        logits = model.logits(X[:count], num_samples=num_samples, scheme=scheme)
        assert np.isfinite(logits).all()
    assert model._graphs(None, scheme).seeded.experimental_get_tracing_count() == 1

    @tf.function
    def seeded(x: Tensor, seed: Tensor) -> Tensor:
        return model.logits(x, num_samples=3, seed=seed, scheme=scheme)

    found = seeded(tf.constant(X), tf.constant(5, tf.int64))
    np.testing.assert_allclose(found, model.logits(X, num_samples=3, seed=5, scheme=scheme), 1e-5)


@pytest.fixture(scope="module")
def exact() -> LinearGaussian:
    """A GBY whose p(x, y) is known."""
    return LinearGaussian(dim_z=2)


@pytest.mark.parametrize("scheme", NAMES)
def test_the_estimate_is_unbiased(scheme: str, exact: LinearGaussian) -> None:
    """E[p̂(x, y)] = p(x, y) at K = 3: 1500 estimates of each, within five standard errors."""
    gby, truth = exact.classifier(widen=1.2), exact.log_joint()[:8]
    x = np.tile(exact.x[:8], (1500, 1))
    logits = gby.logits(x, num_samples=3, seed=0, scheme=scheme).numpy()
    ratios = np.exp(logits.reshape(1500, 8, 3) - truth)
    errors = ratios.std(0) / np.sqrt(1500)
    assert (np.abs(ratios.mean(0) - 1.0) < 5 * errors).all()
    assert errors.max() < 0.05


@pytest.mark.parametrize("scheme", NAMES)
def test_ten_thousand_samples_give_the_exact_logits(scheme: str, exact: LinearGaussian) -> None:
    gby = exact.classifier(widen=1.2)
    gby.block_size = 40_000
    logits = gby.logits(exact.x[:8], num_samples=10_000, seed=0, scheme=scheme)
    np.testing.assert_allclose(logits, exact.log_joint()[:8], atol=0.1)


def test_what_the_schemes_narrow_where_it_is_known(exact: LinearGaussian) -> None:
    """p(z|x, y) has one covariance for all y and q its mean, so w/p(x, y) is the same function of ε
    for every class, and even: shared noise leaves no error in differences of logits, and the second
    of an antithetic pair repeats the first."""
    gby, x = exact.classifier(widen=1.6), np.tile(exact.x[:8], (200, 1))
    difference, single = {}, {}
    for scheme in (INDEPENDENT, *OTHERS):
        logits = gby.logits(x, num_samples=10, seed=1, scheme=scheme).numpy().reshape(200, 8, 3)
        difference[scheme] = (logits[:, :, 1:] - logits[:, :, :1]).std(0).mean()
        single[scheme] = logits.std(0).mean()
    assert difference["independent"] > 0.3
    assert max(difference[scheme] for scheme in OTHERS) < 1e-4, difference
    assert single["shared"] == pytest.approx(single["independent"], rel=0.1)
    assert single["antithetic"] > 1.3 * single["shared"]


def test_quasi_random_draws_narrow_the_estimate(exact: LinearGaussian) -> None:
    gby, x = exact.classifier(widen=1.6), np.tile(exact.x[:8], (200, 1))
    shared, even = (
        gby.logits(x, num_samples=64, seed=1, scheme=scheme)
        .numpy()
        .reshape(200, 8, 3)
        .std(0)
        .mean()
        for scheme in ("shared", "qmc")
    )
    assert even < 0.7 * shared


@pytest.mark.parametrize("scheme", OTHERS)
def test_a_served_model_has_the_scheme(scheme: str) -> None:
    options: dict[str, Any] = {"num_samples": 5, "scheme": scheme}
    model, x = classifier("DFX"), images(3)
    signatures = Signatures(model, 5, 3, scheme=scheme).signatures()
    fixed = model.fixed_log_weights(x, 5, 3, scheme)
    log_p = tf.transpose(tf.reduce_logsumexp(fixed, 0)) - np.log(5.0)
    np.testing.assert_allclose(signatures["logits"](tf.constant(x))["logits"], log_p, rtol=1e-4)
    seeded = signatures["logits_seeded"](tf.constant(x), tf.constant(7, tf.int64))["logits"]
    np.testing.assert_allclose(seeded, model.logits(x, seed=7, **options), rtol=1e-4)


def test_fixed_draws_of_a_scheme() -> None:
    published = np.random.RandomState(300).randn(6, 4).astype(np.float32)
    for scheme in ("independent", "shared"):
        np.testing.assert_array_equal(fixed_noise(6, 4, 3, scheme)[:, 0, 0], published)
    pairs = fixed_noise(6, 4, 3, "antithetic").numpy()
    np.testing.assert_array_equal(pairs[1::2], -pairs[::2])
    uniform = np.sort(ndtr(fixed_noise(8, 4, 3, "qmc").numpy().astype(np.float64)), axis=0)
    np.testing.assert_allclose(np.diff(uniform, axis=0), 1 / 8, atol=1e-5)
    model = classifier("DBX", VECTORS)
    found = model.log_weights(X, mode="fixed", num_samples=6, scheme="antithetic")
    np.testing.assert_array_equal(found, model.fixed_log_weights(X, 6, 0, "antithetic"))


def test_a_victim_is_scored_and_attacked_with_its_scheme(tmp_path: pathlib.Path) -> None:
    write_run(tmp_path / "DBX", fitted=False)

    def load(scheme: str = INDEPENDENT) -> Run:
        return Run.load(tmp_path / "DBX", Sampling(3, "sample", scheme, 2))

    victim, x = load("qmc"), images(2)
    assert victim.recorded_scheme == "qmc" and load().recorded_scheme is None
    expected = load().model
    options: dict[str, Any] = {"num_samples": 3, "scheme": "qmc"}
    np.testing.assert_array_equal(victim.logits_fn(x), expected.logits(x, **options))
    access = victim.access(common_random_numbers=True)
    np.testing.assert_array_equal(access.logits(x), expected.logits(x, seed=2, **options))


def test_what_is_measured_of_an_image() -> None:
    """Four draws of two images: two predictions of each kind, and a runner-up that moves."""
    logits = np.array([[[3, 1, 0], [2, 0, 1]], [[3, 1, 0], [2, 0, 1]]] * 2, np.float64)
    logits[2:, 0, 1] = 4.0  # now the top class in two of four draws: on average 3 against 2.5
    found = per_image(logits, np.full((4, 2, 3), 2.0), np.array([0, 0]))
    np.testing.assert_allclose(found["prediction_changes"], [4 / 6, 0.0])
    np.testing.assert_allclose(found["runner_up_std"], [float(np.std([1, 1, 4, 4], ddof=1)), 0.0])
    np.testing.assert_allclose(found["difference_std"], found["runner_up_std"] / 2)
    np.testing.assert_allclose(found["accuracy"], [0.5, 1.0])
    np.testing.assert_allclose(found["effective_sample_size"], 2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "sobol"}, "noise must be one of independent, .*qmc, got 'sobol'"),
        ({"scheme": "qmc", "mode": "mean"}, "mode mean draws no noise, got noise 'qmc'"),
        ({"scheme": "shared", "mode": "zero"}, "mode zero draws no noise"),
        ({"seed": -1}, "seed must be a whole number, 0 or more, got -1"),
        ({"scheme": "qmc", "num_samples": 2**SOBOL_BITS + 1}, "at most 1048576 samples"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        classifier("DBX", VECTORS).logits(X, **options)
