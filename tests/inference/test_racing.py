"""Class racing: who gets all draws, what the others have instead, and what it may not change."""

import functools
import math
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp, softmax

from benchmark.noise import outcome, sampling_of
from tests.exported import write_run
from tests.rounding import assert_close
from tests.small import VECTORS, classifier, images
from tf_deepbayes.attacks import PGD
from tf_deepbayes.attacks.access import LazyLogits
from tf_deepbayes.attacks.white_box.lazy_logits import step_logits_of
from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.export.saved_model import export
from tf_deepbayes.inference.sampling import Sampling, raced
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.runs.run import Run

DECODERS_WITH_Y = ("GFZ", "GFY")
K, C, RACE = 6, 3, 8.0
SAMPLING: dict[str, Any] = {"num_samples": K, "seed": 4}
X = images(12)


@functools.cache
def model_of(name: str) -> LatentClassifier:
    return sharpened(classifier(name))


def sharpened(model: LatentClassifier) -> LatentClassifier:
    """Classes tens of nats apart and draws a few, as in a trained model."""
    first, *others = [4.0 * weight for weight in model.p_x_zy.get_weights()]
    first[: model.architecture.dim_z] *= 0.05
    model.p_x_zy.set_weights([first, *others])
    return model


def expected(log_w: np.ndarray, race: float, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and who is left out `[B, C]`, from all log weights `[K, C, B]`."""
    estimate = (logsumexp(log_w[:draws], axis=0) - np.log(draws)).T
    whole = (logsumexp(log_w, axis=0) - np.log(len(log_w))).T
    left_out = estimate < estimate.max(1, keepdims=True) - race
    return np.where(left_out, estimate, whole), left_out


@pytest.mark.parametrize("name", DECODERS_WITH_Y)
@pytest.mark.parametrize("scheme", ["independent", "shared", "antithetic", "qmc"])
@pytest.mark.parametrize("draws", [1, 3])
def test_the_kept_have_the_logits_of_all_draws(name: str, scheme: str, draws: int) -> None:
    model, options = model_of(name), {**SAMPLING, "scheme": scheme}
    log_w = model.log_weights(X, **options).numpy()
    for block_size in (500, 5):
        model.block_size = block_size
        found = model.raced_logits(X, race=RACE, race_draws=draws, **options)
        logits, left_out = expected(log_w, RACE, draws)
        assert 0.1 < left_out.mean() < 0.9
        np.testing.assert_array_equal(found.left_out, left_out)
        assert_close(found.logits, logits, 2e-6)
        np.testing.assert_array_equal(
            model.logits(X, race=RACE, race_draws=draws, **options), found.logits
        )
    model.block_size = 500
    raced_w = model.log_weights(X, race=RACE, race_draws=draws, **options)
    assert raced_w.shape == (K, C, len(X))


@pytest.mark.parametrize("name", DECODERS_WITH_Y)
def test_the_best_class_is_that_of_all_draws_and_little_is_left_out(name: str) -> None:
    model, race = model_of(name), 12.0
    whole = model.logits(X, **SAMPLING).numpy()
    found = model.raced_logits(X, race=race, **SAMPLING)
    np.testing.assert_array_equal(tf.argmax(found.logits, 1), whole.argmax(1))
    assert found.left_out.numpy().any()
    share = (softmax(whole, axis=1) * found.left_out.numpy()).sum(1)
    assert (share < 1e-3).mean() >= 0.9


@pytest.mark.parametrize("name", DECODERS_WITH_Y)
def test_the_gradient_is_that_of_the_same_formula_on_all_draws(name: str) -> None:
    model, x = model_of(name), tf.constant(X[:5])

    def formula(x: Tensor) -> Tensor:
        log_w = model.log_weights(x, **SAMPLING)
        mean = tf.reduce_logsumexp(log_w, 0) - math.log(K)
        near = log_w[0] >= tf.reduce_max(log_w[0], 0) - RACE
        return tf.transpose(tf.where(near, mean, log_w[0]))

    found = []
    for logits_fn in (formula, lambda x: model.logits(x, race=RACE, **SAMPLING)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = logits_fn(x)
            loss = logits[:, 0] - tf.reduce_logsumexp(logits[:, 1:], 1)
        found.append(tape.gradient(loss, x).numpy())
    assert np.abs(found[0]).max() > 0
    assert_close(found[1], found[0], 1e-3)


def test_only_the_kept_are_decoded_again() -> None:
    """What is asked for: every class once, then those within reach and those always kept."""
    first = np.array([[0.0, 0.0], [-3.0, -9.0], [-9.0, -9.0]], np.float32)  # [C, B]
    asked: list[tuple[int, int, np.ndarray]] = []

    def some(start: int, count: int, wanted: Tensor) -> Tensor:
        asked.append((start, count, wanted.numpy()))
        values = np.broadcast_to(first, [count, 3, 2]) + start
        return tf.where(wanted, tf.constant(values, tf.float32), -1e30)

    every, always = np.ones([3, 2], bool), np.zeros([3, 2], bool)
    always[2, 1] = True
    sampling = Sampling(10, race=5.0, race_draws=2)
    log_w, left_out = raced(some, sampling, tf.constant(every), tf.constant(always))
    assert [(start, count) for start, count, _ in asked] == [(0, 2), (2, 8)]
    kept = np.array([[True, True], [True, False], [False, True]])
    np.testing.assert_array_equal(asked[1][2], kept)
    np.testing.assert_array_equal(left_out, ~kept)
    np.testing.assert_allclose(log_w[5], np.where(kept, first + 2, first), atol=1e-5)


def test_an_attack_races_with_its_label_kept(tmp_path: pathlib.Path) -> None:
    write_run(tmp_path / "GFZ", fitted=False)
    run = Run.load(tmp_path / "GFZ", Sampling(K, seed=4, race=RACE))
    assert run.recorded_scheme == "independent+race8r1"
    sharpened(run.model)
    access = run.access(common_random_numbers=True)
    assert isinstance(access.logits, LazyLogits) and access.logits.races
    x, model = tf.constant(X), run.model
    whole = model.logits(x, num_samples=K, seed=4).numpy()
    worst = whole.argmin(1)
    steps = step_logits_of(access.logits, 0)
    found, _ = steps.step_logits(x, tf.constant(worst), tf.constant(1), steps.known_at_start(x))
    rows = np.arange(len(X))
    assert_close(found.numpy()[rows, worst], whole[rows, worst])
    left_out = model.raced_logits(x, run.sampling).left_out.numpy()
    assert left_out[rows, worst].any()
    lazy = step_logits_of(access.logits, 5)
    known = tf.constant(whole)
    found, _ = lazy.step_logits(x, tf.constant(worst), tf.constant(1), known)
    assert_close(found.numpy()[rows, worst], whole[rows, worst])
    labels = whole.argmax(1)
    attack = PGD(nb_iter=5, eps_iter=0.05, loss="log_odds", rand_init=False)
    plain = Run(run.folder, run.config, model, Sampling(K, seed=4)).access(None, None, True)
    margins = []
    for logits in (access.logits, plain.logits):
        moved = attack(logits, X, labels, 0.2)
        after = model.logits(moved, num_samples=K, seed=4).numpy()
        own = after[rows, labels]
        after[rows, labels] = -np.inf
        margins.append((own - after.max(1)).mean())
    before = np.sort(whole, 1)
    assert margins[0] < (before[:, -1] - before[:, -2]).mean() - 1.0
    assert margins[0] == pytest.approx(margins[1], abs=0.3 * abs(float(margins[1])) + 1.0)


def test_what_is_measured_of_a_race() -> None:
    """Three classes of two images: two draws each, of which the far class is spared the second."""
    log_w = np.zeros([2, 3, 2], np.float32)
    log_w[:, 1:, 0] = [[-1.0, -9.0], [-1.0, -1.0]]
    sampling = sampling_of("shared+race4r1", 2, 7)
    assert sampling.noise == "shared+race4r1" and sampling.seed == 7
    assert sampling_of("mixture+qmc", 2, 0) == Sampling(2, scheme="mixture+qmc", seed=0)
    found = outcome(tf.constant(log_w), sampling)
    np.testing.assert_allclose(found["points"], [5.0, 6.0])
    last = np.mean(np.exp([-9.0, -1.0]))
    np.testing.assert_allclose(found["logits"], [[0.0, -1.0, -9.0], [0.0, 0.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(found["left_out"], [last / (1 + np.exp(-1) + last), 0.0], rtol=1e-5)
    whole = outcome(tf.constant(log_w), Sampling(2))
    np.testing.assert_allclose(whole["logits"][0], [0.0, -1.0, np.log(last)], rtol=1e-5)
    np.testing.assert_array_equal(whole["points"], [6.0, 6.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"race": 5.0, "mode": "fixed"}, "mode fixed has no further draws"),
        ({"race": 5.0, "mode": "mean"}, "mode mean has no further draws"),
        ({"race": 5.0, "mode": "zero"}, "mode zero has no further draws"),
        ({"race": 1.0}, r"at least log\(K / race_draws\) = 2.30, got 1"),
        ({"race": float("nan")}, "race must be a number of nats"),
        ({"race": 5.0, "race_draws": 10}, "race_draws must be below the 10 samples, got 10"),
        ({"race": 5.0, "race_draws": 0}, "race_draws must be a whole number of at least 1"),
        ({"race": 5.0, "scheme": "mixture"}, "all draws of noise mixture serve all classes"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sampling(**options)


def test_where_it_does_not_fit_it_is_refused(tmp_path: pathlib.Path) -> None:
    model = classifier("GFY", VECTORS)
    with pytest.raises(InputError, match="a race draws its own noise"):
        model.logits(images(2, shape=(6,)), np.zeros([10, 1, 1, 4], np.float32), race=5.0)
    for name in ("CNN", "GFZ"):
        write_run(tmp_path / name, fitted=False)
    with pytest.raises(InputError, match="CNN draws no z for each class"):
        Run.load(tmp_path / "CNN", Sampling(race=5.0))
    run = Run.load(tmp_path / "GFZ", Sampling(race=5.0))
    with pytest.raises(InputError, match="an exported classifier has the same draws for all"):
        export(run, tmp_path / "exported")
