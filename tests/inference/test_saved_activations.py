"""Gradients from what a forward pass kept, against those that decode again."""

import numpy as np
import pytest
import tensorflow as tf

from tests.inference.test_input_gradient import assert_equal_per_image
from tests.small import IMAGES, VECTORS, classifier, images, noise_for
from tf_deepbayes.attacks import losses
from tf_deepbayes.inference import saved_activations
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.layers.networks import Decoder

BLOCK = 4
DECODERS = ("GFZ", "GFY", "DFZ", "GBZ", "GBY")


def decoder() -> Decoder:
    return Decoder(IMAGES, [IMAGES.dim_z], 1, iter(range(100)))


def recorded(network: Decoder, z: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    with saved_activations.saving() as kept:
        return network(z), kept


def slope(model: LatentClassifier, x: tf.Tensor, noise: tf.Tensor, saves: bool) -> np.ndarray:
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model.logits(x, noise, save_activations=saves)
        values = losses.get("log_odds")(tf.constant([0, 1, 2, 1, 0]), logits)
    return tape.gradient(values, x).numpy()


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("blocks", [2, 1000], ids=["some_blocks", "every_block"])
def test_the_gradient_is_that_of_decoding_again(
    name: str, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = tf.constant(images(5))
    model = classifier(name)
    model.block_size = BLOCK
    monkeypatch.setattr(saved_activations, "MOST_BLOCKS", blocks)
    noise = noise_for(model, 3, 5)
    assert_equal_per_image(slope(model, x, noise, True), slope(model, x, noise, False))


def test_of_feature_vectors() -> None:
    x = tf.constant(images(5, shape=VECTORS.input_shape))
    model = classifier("GBZ", VECTORS)
    noise = noise_for(model, 3, 5)
    assert_equal_per_image(slope(model, x, noise, True), slope(model, x, noise, False))


def test_replayed_rows_have_the_output_and_gradient_of_the_recorded() -> None:
    network, z = decoder(), tf.random.stateless_normal([6, IMAGES.dim_z], [0, 0])
    with tf.GradientTape() as tape:
        tape.watch(z)
        expected = network(z)
    expected_gradient = tape.gradient(expected, z)
    plain, kept = recorded(network, z)
    np.testing.assert_array_equal(plain, expected)
    rows = tf.constant([4, 1])
    with tf.GradientTape() as tape:
        # Of the input only its shape is used.
        nothing = tf.fill([2, IMAGES.dim_z], np.nan)
        tape.watch(nothing)
        with saved_activations.reusing([tf.gather(value, rows) for value in kept]):
            found = network(nothing)
    np.testing.assert_array_equal(found, tf.gather(expected, rows))
    np.testing.assert_allclose(
        tape.gradient(found, nothing), tf.gather(expected_gradient, rows), rtol=1e-5, atol=1e-7
    )


def test_a_decoder_says_what_it_keeps() -> None:
    network = decoder()
    kept = recorded(network, tf.zeros([1, IMAGES.dim_z]))[1]
    assert [rows.dtype for rows in kept] == network.saved_dtypes


def test_nothing_is_kept_outside() -> None:
    network, z = decoder(), tf.zeros([1, IMAGES.dim_z])
    with saved_activations.saving() as kept:
        pass
    network(z)
    assert not kept
