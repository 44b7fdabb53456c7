"""It tells the truth: what four small classifiers are robust by is known, and is what it says."""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.small import convnet, images, labels_of
from tf_deepbayes.attacks import FGSM
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.core.axes import Array, LogitsFn, Tensor
from tf_deepbayes.robustness.budgets import Budget
from tf_deepbayes.robustness.decomposition.decompose import Subject, decompose
from tf_deepbayes.robustness.decomposition.noise_control import Averaged, NoiseControl
from tf_deepbayes.robustness.decomposition.sizes import SIZES
from tf_deepbayes.robustness.evaluate import evaluate
from tf_deepbayes.robustness.suite import VICTIM, Defence, EvaluationSettings

NET = convnet()
X = images(40, shape=(8, 8, 1))
Y = labels_of(NET, X)
BUDGET = Budget(10, 1, 0, 0, 20, 5, False, 0, 2, ranks=2, network_queries=40)
PLAN = EvaluationSettings(BUDGET, eps=0.03, batch_size=20, check_images=10)
GENERATOR = tf.random.Generator.from_seed(0)
SIGMA = 0.6


def confident(x: Tensor) -> Tensor:
    """The logits times 50: cross-entropy has no gradient, and nothing else has changed."""
    return 50.0 * NET(x)


def noisy(x: Tensor) -> Tensor:
    """Noise on the image hides where the boundary is."""
    return NET(x + SIGMA * GENERATOR.normal(tf.shape(x)))


def noisy_known(seed: int) -> LogitsFn:
    fixed = tf.random.stateless_normal([1, 8, 8, 1], [seed, 7])
    return lambda x: NET(x + SIGMA * fixed)


def ignorant(x: Tensor) -> Tensor:
    """Always the same class, with a gradient that leads nowhere."""
    return tf.constant([3.0, 1.0, 0.0, 0.0, 0.0]) + 0.0 * NET(x)


@functools.cache
def trained() -> tuple[keras.Model, Array, Array]:
    """A convnet trained on attacked images: which quarter of an image is brightest."""
    random = np.random.default_rng(0)
    y = np.arange(240) % 4
    x = random.uniform(0.0, 0.3, size=(240, 8, 8, 1)).astype(np.float32)
    for image, label in zip(x, y, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[row : row + 4, column : column + 4] += 0.6
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
    net.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(True))
    for _ in range(6):
        attacked = FGSM(batch_size=240)(lambda x: net(x), x, y, 0.1)
        net.fit(attacked, y, batch_size=40, epochs=2, verbose=0)
    return net, x[:40], y[:40]


def apart(logits_fn: LogitsFn, x: Array, y: Array, **options: Any) -> dict[str, Any]:
    """The classifier, evaluated and taken apart."""
    GENERATOR.reset_from_seed(0)
    plan = dataclasses.replace(PLAN, eps=options.pop("eps", PLAN.eps))
    defence = Defence.of(plan, logits_fn, {VICTIM: ModelAccess(logits_fn)}, x, y)
    _, worst = evaluate(plan, defence)
    sizes = dataclasses.replace(SIZES["quick"], draws=20, known_draws=4, attack_samples=(1, 4))
    return decompose(Subject(plan, defence, worst, **options), sizes)


def shares(found: dict[str, Any]) -> dict[str, float]:
    return {name: one["share"] for name, one in found["decomposition"]["parts"].items()}


def test_large_logits_are_masked_gradients() -> None:
    found, parts = apart(confident, X, Y), None
    parts = shares(found)
    assert found["decomposition"]["verdict"] == "masked"
    assert parts["adaptive"] > 0.3 and parts["broken"] < 0.2
    assert found["audit"]["zero_gradients"]["cross_entropy"] > 0.5
    assert found["audit"]["zero_gradients"]["log_odds"] == 0.0
    plain = apart(NET, X, Y)
    assert shares(plain)["adaptive"] < 0.15
    assert plain["decomposition"]["verdict"] != "masked"


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
    net, x, y = trained()
    found = apart(net, x, y, eps=0.1)
    assert found["decomposition"]["verdict"] == "margin"
    assert shares(found)["margin"] > 0.8
    steps = next(one for one in found["curves"] if one["name"] == "steps")
    assert steps["robust"][-1] > 0.8


def test_a_classifier_that_ignores_its_input_has_none() -> None:
    found = apart(ignorant, X, Y)
    assert found["decomposition"]["verdict"] == "none"
    assert found["audit"]["zero_gradients"]["log_odds"] == 1.0
    assert found["audit"]["derivatives"]["agree"] is None


@pytest.mark.parametrize("logits_fn", [NET, noisy], ids=["network", "noisy"])
def test_the_parts_add_up(logits_fn: LogitsFn) -> None:
    found = apart(logits_fn, X, Y)
    parts = shares(found)
    assert sum(parts.values()) == pytest.approx(1.0)
    hidden = ("known noise", "many samples", "adaptive", "margin")
    reported = sum(parts.get(name, 0.0) for name in hidden)
    assert found["decomposition"]["reported"] == pytest.approx(reported)
    for one in found["decomposition"]["parts"].values():
        low, high = one["interval"]
        assert low <= one["share"] <= high
    assert ("known noise" in parts) is False
    assert ("many samples" in parts) is (logits_fn is noisy)
