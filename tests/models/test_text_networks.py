"""The networks of the paper's text: their shapes, their numbers, their gradient."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.rounding import assert_close
from tests.small import IMAGES, VECTORS, classifier, images, noise_for
from tf_deepbayes.core.architecture import CIFAR, MNIST, Architecture
from tf_deepbayes.core.axes import logits_of
from tf_deepbayes.models.baselines import CNN
from tf_deepbayes.models.factorisations import FACTORISATIONS, GBZ, GFZ

TEXT = IMAGES.replace(networks="text")
NAMES = list(FACTORISATIONS)


def shapes(layer: keras.layers.Layer) -> list[tuple[int, ...]]:
    """Those of the weights that are no biases."""
    return [tuple(w.shape) for w in layer.weights if len(w.shape) > 1]


def test_the_sizes_are_those_of_the_paper() -> None:
    model = GBZ(MNIST.replace(networks="text"))
    convolutions = [(5, 5, 1, 64), (5, 5, 64, 64), (5, 5, 64, 64), (4 * 4 * 64, 500)]
    assert shapes(model.q_z_xy) == [(500 + 10, 500), (500, 2 * 64), *convolutions]
    assert shapes(model.p_y_z) == [(64, 500), (500, 10)]
    transposed = [(5, 5, 64, 64), (5, 5, 64, 64), (5, 5, 1, 64)]
    assert shapes(model.p_x_z) == [(64, 500), (500, 500), (500, 4 * 4 * 64), *transposed]
    assert shapes(GFZ(MNIST.replace(networks="text")).p_y_z) == [(64, 500), (500, 10)]
    colour = GBZ(CIFAR.replace(networks="text"))
    assert shapes(colour.p_x_z)[:3] == [(128, 1000), (1000, 1000), (1000, 4 * 4 * 256)]
    assert shapes(GBZ(MNIST).p_y_z) == [(64, 500), (500, 500), (500, 10)]


def test_features_are_the_largest_of_every_two_by_two_convolved_pixels() -> None:
    model, x = classifier("GBZ", TEXT), images(2)
    features = model.q_z_xy.features
    assert features is not None
    kernels = [w.numpy() for w in features.weights]
    hidden = x
    for kernel, bias in zip(kernels[0:6:2], kernels[1:6:2], strict=True):
        around = np.pad(hidden, ((0, 0), (2, 2), (2, 2), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(around, (5, 5), (1, 2))
        hidden = np.maximum(np.einsum("bhwcij,ijco->bhwo", windows, kernel) + bias, 0)
        odd = hidden.shape[1] % 2  # at an odd edge the window holds what is left
        padded = np.pad(hidden, ((0, 0), (0, odd), (0, odd), (0, 0)))
        rows = np.maximum(padded[:, ::2], padded[:, 1::2])
        hidden = np.maximum(rows[:, :, ::2], rows[:, :, 1::2])
    assert hidden.shape == (2, 4, 4, 4)
    expected = np.maximum(hidden.reshape(2, -1) @ kernels[6] + kernels[7], 0)
    np.testing.assert_allclose(model.features(tf.constant(x)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_input_gradient_is_that_of_the_formula(name: str) -> None:
    """Through saved activations and blocks, against autodiff of log p(x, z, y) − log q."""
    model, x = classifier(name, TEXT), tf.constant(images(2))
    noise = tf.constant(noise_for(model, 2, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = model.logits(x, noise)
        objective = found[0, 0] - found[1, 1]
    slope = tape.gradient(objective, x).numpy()
    with tf.GradientTape() as tape:
        tape.watch(x)
        observed, y = model.observe(x), tf.eye(3)[:, None]
        q = model.q_z_xy(observed, y).distribution
        terms = model.terms(observed, y, q.loc, q.scale, q.loc + q.scale * noise)
        logits = logits_of(model.log_weight(terms) + tf.zeros([2, 3, 2]))
        objective = logits[0, 0] - logits[1, 1]
    expected = tape.gradient(objective, x).numpy()
    np.testing.assert_allclose(found, logits, rtol=1e-5, atol=1e-4)
    assert np.abs(expected).max() > 0
    assert_close(slope, expected, 2e-3)


def test_code_is_what_is_meant_where_nothing_is_said() -> None:
    sizes = json.loads(json.dumps(dataclasses.asdict(IMAGES)))
    for field in ("networks", "dropout"):
        del sizes[field]
    assert Architecture.from_dict(sizes) == IMAGES == IMAGES.replace(networks="code")
    assert Architecture.from_dict(json.loads(json.dumps(dataclasses.asdict(TEXT)))) == TEXT
    ours, again = GBZ(IMAGES, seed=1), GBZ(IMAGES.replace(networks="code"), seed=1)
    for one, other in zip(ours.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_cnn_has_the_convolutions_of_its_networks() -> None:
    code, text = CNN(IMAGES), CNN(TEXT)
    assert [w.shape for w in code.weights] == [w.shape for w in text.weights]
    text.set_weights(code.get_weights())
    assert np.abs(text.logits(images(2)) - code.logits(images(2))).max() > 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"networks": "paper"}, "networks must be one of code, text, got 'paper'"),
        ({"dropout": 1.0}, "dropout must be above 0 and below 1, got 1.0"),
        ({"dropout": "half"}, "dropout must be above 0 and below 1, got 'half'"),
    ],
)
def test_other_networks_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IMAGES.replace(**changes)


def test_feature_vectors_have_no_networks_of_the_text() -> None:
    with pytest.raises(ValueError, match=r"for images, got input_shape \(6,\); leave networks"):
        VECTORS.replace(networks="text")
