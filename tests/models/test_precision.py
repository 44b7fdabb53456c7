"""XLA and bfloat16 networks: the numbers of plain float32, as closely as they can be had."""

from collections.abc import Iterator
from typing import TypeVar

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.rounding import assert_close
from tests.small import classifier, images, noise_for
from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models.baselines import BNN
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.registry import Classifier
from tf_deepbayes.models.xla import compile_terms
from tf_deepbayes.training.steps.adam import PublishedAdam
from tf_deepbayes.training.trainers import BoundTrainer, CrossEntropyTrainer

SMALL = Architecture((12, 12, 1), num_classes=3, dim_z=4, dim_h=16, channels=(2, 3, 3))
AnyModel = TypeVar("AnyModel", bound=Classifier)
X, LABELS = images(6, shape=SMALL.input_shape), tf.one_hot([0, 1, 2, 0, 1, 2], 3)


@pytest.fixture
def bfloat16() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def copy_of(model: AnyModel) -> AnyModel:
    """The same weights in a classifier built now."""
    copy = type(model)(SMALL, seed=1)
    for own, weight in zip(copy.weights, model.weights, strict=True):
        own.assign(weight)
    return copy


def logits_and_gradient(model: LatentClassifier, count: int) -> tuple[np.ndarray, np.ndarray]:
    x, noise = tf.constant(X[:count]), noise_for(model, 2, count)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model.logits(x, noise)
        loss = tf.reduce_sum(logits[:, 0] - logits[:, 1])
    assert logits.dtype == tf.float32
    return logits.numpy(), tape.gradient(loss, x).numpy()


@pytest.mark.parametrize(("name", "count"), [("GFZ", 5), ("DFX", 1)])
def test_compiled_logits_and_gradients_are_those_of_plain_graphs(name: str, count: int) -> None:
    """Five images are filled up to eight, one is not. XLA adds float32 in another order."""
    plain = classifier(name, SMALL)
    compiled = copy_of(plain)
    compile_terms(compiled)
    both = (logits_and_gradient(model, count) for model in (compiled, plain))
    for found, expected in zip(*both, strict=True):
        assert_close(found, expected, 1e-4)


def test_one_z_for_all_images_is_compiled_as_one() -> None:
    plain = classifier("DFX", SMALL)
    compiled = copy_of(plain)
    compile_terms(compiled)
    found, expected = (model.logits(X[:3], mode="zero") for model in (compiled, plain))
    assert_close(found, expected)


def test_a_baseline_is_not_compiled() -> None:
    with pytest.raises(InputError, match="jit_compile is for deep Bayes classifiers, got BNN"):
        compile_terms(BNN(SMALL))


def steps(model: Classifier, jit_compile: bool) -> list[np.ndarray]:
    """The weights after two training steps."""
    make = CrossEntropyTrainer if isinstance(model, BNN) else BoundTrainer
    trainer = make(model, seed=3, jit_compile=jit_compile)
    trainer.compile(PublishedAdam(1e-3), jit_compile=False)
    step = tf.function(lambda: trainer.train_step((tf.constant(X), LABELS)))
    for _ in range(2):
        step()
    return [weight.numpy() for weight in model.trainable_variables]


@pytest.mark.parametrize("name", ["GBZ", "BNN"])
def test_compiled_training_steps_draw_the_same_noise(name: str) -> None:
    """Weights move by 1e-3 a step, whatever the gradient: a fiftieth of that is rounding."""
    plain = BNN(SMALL) if name == "BNN" else classifier(name, SMALL)
    compiled = copy_of(plain)
    for found, expected in zip(steps(compiled, True), steps(plain, False), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["GFZ", "DFX"])
def test_bfloat16_networks_with_densities_in_float32(name: str, bfloat16: None) -> None:
    keras.config.set_dtype_policy("float32")
    plain = classifier(name, SMALL)
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = copy_of(plain)
    assert mixed.q_z_xy.network.compute_dtype == "bfloat16"
    noise = noise_for(mixed, 2, len(X))
    observed = mixed.observe(tf.constant(X))
    terms = mixed.bound_terms(tf.constant(X), LABELS, noise[:, :1])
    values = [*terms.values(), *observed.features.values(), mixed.log_weights(X, noise)]
    assert {value.dtype for value in values} == {tf.float32}
    (logits, gradient), (expected, slope) = (
        logits_and_gradient(model, len(X)) for model in (mixed, plain)
    )
    # bfloat16 has 8 binary digits, and processors without it add them up in another order: up to
    # a fifth of DFX's slope, where a ReLU changes sides. A wrong slope is off by all of it.
    np.testing.assert_allclose(logits, expected, rtol=0.02, atol=0.01)
    assert np.linalg.norm(gradient - slope) < 0.35 * np.linalg.norm(slope)
    assert np.abs(logits - expected).max() > 0


def test_training_in_bfloat16_keeps_weights_in_float32(bfloat16: None) -> None:
    for model in (classifier("GBZ", SMALL), BNN(SMALL)):
        before = [weight.numpy() for weight in model.trainable_variables]
        after = steps(model, False)
        assert {weight.dtype for weight in after} == {np.dtype("float32")}
        moved = np.concatenate([(a - b).ravel() for a, b in zip(after, before, strict=True)])
        # Two steps of 1e-3 where the gradient keeps its sign; float32 shows them, bfloat16 not.
        assert 0 < np.abs(moved).max() < 2.1e-3 and np.isfinite(moved).all()
    assert model.logits(X).dtype == tf.float32
