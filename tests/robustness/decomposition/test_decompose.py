"""It tells the truth: what four small classifiers are robust by is known, and is what it says."""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.core.axes import Array, LogitsFn, Tensor
from tf_deepbayes.robustness.attack_cache import AttackCache
from tf_deepbayes.robustness.attack_sets import AttackSet
from tf_deepbayes.robustness.budgets import Budget
from tf_deepbayes.robustness.decomposition.decompose import Subject, decompose
from tf_deepbayes.robustness.decomposition.noise_control import Averaged, NoiseControl
from tf_deepbayes.robustness.decomposition.sizes import SIZES
from tf_deepbayes.robustness.suite import VICTIM, Defence, EvaluationSettings
from tf_deepbayes.robustness.worst_case import Candidate, worst_case

SIGMA = 0.5
BUDGET = Budget(10, 1, 0, 0, 20, 5, False, 0, 2, ranks=2, network_queries=40)
PLAN = EvaluationSettings(BUDGET, eps=0.05, batch_size=20, check_images=10)
GENERATOR = tf.random.Generator.from_seed(0)
STORES = (lambda component: None), (lambda finished: None)


def quarters(count: int, gap: float, noise: float) -> tuple[Array, Array]:
    """Images of noise; the class says which quarter is brighter by `gap`."""
    random, y = np.random.default_rng(0), np.arange(count) % 4
    x = random.uniform(0.4 - noise, 0.4 + noise, size=(count, 8, 8, 1)).astype(np.float32)
    for image, label in zip(x, y, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[row : row + 4, column : column + 4] += gap
    return x, y


@functools.cache
def trained(gap: float, noise: float, eps: float, steps: int = 150) -> keras.Model:
    """A convnet that tells the quarters apart, trained on images attacked by FGSM of that size."""
    x, y = quarters(400, gap, noise)
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.AveragePooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    adam = keras.optimizers.Adam(0.01)

    @tf.function
    def step(images: Tensor, labels: Tensor) -> None:
        with tf.GradientTape() as inner:
            inner.watch(images)
            loss = losses.cross_entropy(labels, net(images))
        attacked = images + eps * tf.sign(inner.gradient(loss, images))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(losses.cross_entropy(labels, net(attacked)))
        adam.apply(tape.gradient(loss, net.trainable_variables), net.trainable_variables)

    for i in range(steps):
        rows = slice(50 * (i % 8), 50 * (i % 8) + 50)
        step(tf.constant(x[rows]), tf.constant(y[rows]))
    return net


X, Y = quarters(40, 0.1, 0.1)
NET = trained(0.1, 0.1, 0.0)


def confident(x: Tensor) -> Tensor:
    """The logits times 50: cross-entropy has no gradient, and nothing else has changed."""
    return 50.0 * NET(x)


def noisy(x: Tensor) -> Tensor:
    """Noise on the image hides which way leads out of its class."""
    return NET(x + SIGMA * GENERATOR.normal(tf.shape(x)))


def noisy_known(seed: int) -> LogitsFn:
    fixed = SIGMA * tf.random.stateless_normal([1, 8, 8, 1], [seed, 7])
    return lambda x: NET(x + fixed)


def ignorant(x: Tensor) -> Tensor:
    """Always the same class, with a gradient that leads nowhere."""
    return tf.constant([3.0, 1.0, 0.0, 0.0]) + 0.0 * NET(x)


def apart(logits_fn: LogitsFn, x: Array, y: Array, **options: Any) -> dict[str, Any]:
    """The classifier, evaluated and taken apart."""
    GENERATOR.reset_from_seed(0)
    plan = dataclasses.replace(PLAN, eps=options.pop("eps", PLAN.eps))
    defence = Defence.of(plan, logits_fn, {VICTIM: ModelAccess(logits_fn)}, x, y)
    runs = AttackCache(defence, *STORES)
    found = [(c.name, runs.of(c)) for c in AttackSet(plan, defence).all()[0]]
    candidates = [Candidate(name, one.adversarial, one.draws) for name, one in found]
    worst = worst_case(defence.target, candidates, 1, plan.batch_size, defence.reseed)
    few: dict[str, Any] = {
        "steps": (4, 8),
        "eot": (2,),
        "queries": (),
        "restarts": (1,),
        "curve_images": 20,
    }
    sizes = dataclasses.replace(
        SIZES["quick"], draws=20, known_draws=2, attack_samples=(1, 4), **few
    )
    return decompose(Subject(plan, defence, **options), worst, sizes)


def shares(found: dict[str, Any]) -> dict[str, float]:
    return {name: one["share"] for name, one in found["decomposition"]["parts"].items()}


def test_large_logits_are_masked_gradients() -> None:
    found = apart(confident, X, Y)
    parts = shares(found)
    assert found["decomposition"]["verdict"] == "masked"
    assert parts["adaptive"] > 0.9 and parts["broken"] < 0.1
    assert found["audit"]["zero_gradients"]["cross_entropy"] == 1.0
    assert found["audit"]["zero_gradients"]["log_odds"] == 0.0
    plain = apart(NET, X, Y)
    assert shares(plain)["adaptive"] < 0.1 and shares(plain)["broken"] > 0.9
    assert plain["decomposition"]["verdict"] == "none"  # nothing of it was robust


def test_noise_on_the_input_is_noise() -> None:
    control = NoiseControl(
        lambda count: ModelAccess(Averaged(noisy, count)), Averaged(noisy, 64), noisy_known
    )
    found = apart(noisy, X, Y, noise=control)
    parts = shares(found)
    assert found["decomposition"]["verdict"] == "noise"
    assert parts["noise alone"] + parts["known noise"] + parts["many samples"] > 0.3
    assert found["audit"]["cosines"][0]["cosine"] < 0.9
    assert found["audit"]["cosines"][-1]["K"] == 4


def test_adversarial_training_gives_margin() -> None:
    x, y = quarters(40, 0.4, 0.1)
    found = apart(trained(0.4, 0.1, 0.1), x, y)
    assert found["decomposition"]["verdict"] == "margin"
    assert shares(found)["margin"] > 0.8
    steps = next(one for one in found["curves"] if one["name"] == "steps")
    assert steps["robust"][-1] > 0.8


def test_a_classifier_that_ignores_its_input_has_none() -> None:
    found = apart(ignorant, X, Y)
    assert found["decomposition"]["verdict"] == "none"
    assert found["audit"]["zero_gradients"]["log_odds"] == 1.0
    assert found["audit"]["derivatives"]["agree"] is None


def test_the_parts_add_up() -> None:
    """Of a classifier whose noise nobody can fix: the part that needs it is left out."""
    for logits_fn, names in ((NET, 4), (noisy, 6)):
        found = apart(logits_fn, X, Y)
        parts = shares(found)
        assert sum(parts.values()) == pytest.approx(1.0) and len(parts) == names
        hidden = ("known noise", "many samples", "adaptive", "margin")
        reported = sum(parts.get(name, 0.0) for name in hidden)
        assert found["decomposition"]["reported"] == pytest.approx(reported)
        for one in found["decomposition"]["parts"].values():
            low, high = one["interval"]
            assert low <= one["share"] <= high
        assert "known noise" not in parts
    assert found["noise"]["limit"] == "mean p of 64 calls" and not found["noise"]["known"]
    assert found["audit"]["derivatives"] is None
