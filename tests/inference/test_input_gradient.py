"""The gradient with respect to x, which leaves out what does not count, against all of it."""

import numpy as np
import pytest
import tensorflow as tf

from tests.small import VECTORS, classifier, images, noise_for
from tf_deepbayes.attacks import losses
from tf_deepbayes.core.axes import Tensor, log_mean_exp, significant
from tf_deepbayes.inference.noise import fixed_noise
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.factorisations import FACTORISATIONS

LABELS = tf.constant([0, 1, 2, 1, 0])


def plain_log_weights(model: LatentClassifier, x: Tensor, noise: Tensor) -> Tensor:
    """The formula in one piece, without blocks and with TensorFlow's own gradient."""
    observed = model.observe(x)
    y = tf.eye(model.architecture.num_classes)[:, None]
    q = model.q_z_xy(observed, y).distribution
    return model.log_weight(model.terms(observed, y, q.loc, q.scale, q.loc + q.scale * noise))


def gradients(model: LatentClassifier, x: Tensor, noise: Tensor, loss: str) -> list[np.ndarray]:
    """(the library's, the plain formula's) gradient of a loss."""
    found = []
    for log_weights in (model.log_weights, lambda x, noise: plain_log_weights(model, x, noise)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = tf.transpose(log_mean_exp(log_weights(x, noise), 0))
            values = losses.get(loss)(LABELS[: len(x)], logits)
        found.append(tape.gradient(values, x).numpy())
    return found


def assert_equal_per_image(ours: np.ndarray, plain: np.ndarray) -> None:
    """Relative to the largest slope of each image.

    float32 rounds log weights of 200 nats to 2e-5 nats; coefficients are exponentials of them.
    """
    largest = np.abs(plain).max(tuple(range(1, plain.ndim)), keepdims=True)
    assert (largest > 0).all()
    np.testing.assert_allclose(ours / largest, plain / largest, rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", FACTORISATIONS)
def test_equals_the_full_gradient(name: str) -> None:
    model = classifier(name)
    x, noise = tf.constant(images(5)), noise_for(model, 3, 5)
    for block in (1, 7, 1000):
        model.block_size = block
        for loss in ("cross_entropy", "log_odds"):
            assert_equal_per_image(*gradients(model, x, noise, loss))


@pytest.mark.parametrize("name", ["DBX", "GBZ", "GBY"])
def test_of_feature_vectors(name: str) -> None:
    model = classifier(name, VECTORS)
    x = tf.constant(images(5, shape=VECTORS.input_shape))
    assert_equal_per_image(*gradients(model, x, noise_for(model, 3, 5), "log_odds"))


def test_of_noise_shared_by_classes_and_images() -> None:
    model = classifier("GFZ")
    shared = fixed_noise(4, model.architecture.dim_z)
    assert_equal_per_image(*gradients(model, tf.constant(images(5)), shared, "log_odds"))


def test_of_z_itself() -> None:
    model = classifier("GFZ")
    x = tf.constant(images(2))

    def plain(x: Tensor) -> Tensor:
        observed, y = model.observe(x), tf.eye(model.architecture.num_classes)[:, None]
        q = model.q_z_xy(observed, y).distribution
        z = tf.zeros_like(q.loc)[None]
        return model.log_weight(model.terms(observed, y, q.loc, q.scale, z))

    found = []
    for log_weights in (lambda x: model.log_weights(x, mode="zero"), plain):
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_w = log_weights(x)
        found.append(tape.gradient(log_w, x).numpy())
    assert_equal_per_image(*found)


def test_drawn_noise_is_the_same_forwards_and_backwards() -> None:
    """The directional derivative of seeded logits, by differences."""
    model, x = classifier("GFZ"), tf.constant(images(3), tf.float32)
    direction = tf.constant(images(3, seed=1)) - 0.5
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model.logits(x, seed=5)
    slope = tf.reduce_sum(tape.gradient(logits, x) * direction, [1, 2, 3])
    step = 1e-2
    ahead, behind = (model.logits(x + s * step * direction, seed=5) for s in (1, -1))
    expected = tf.reduce_sum(ahead - behind, 1) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=0.01, atol=0.05)


def test_terms_that_do_not_count_are_left_out() -> None:
    sizes = np.array([[[1.0, 1e-3], [1e-9, -1e-12]]], np.float32)  # [K, C, B] = [1, 2, 2]
    np.testing.assert_array_equal(significant(tf.constant(sizes)), [[[True, True], [False, False]]])
    nothing = significant(tf.zeros([2, 3, 1]))
    assert not nothing.numpy().any()


def test_a_saturated_loss_has_no_gradient_at_all() -> None:
    model, x = classifier("GFZ"), tf.constant(images(2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        values = 0.0 * model.logits(x, seed=0)
    assert not tape.gradient(values, x).numpy().any()
