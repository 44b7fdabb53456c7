"""The wrapper of an extractor and a classifier of features: logits and gradients from pixels."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import golden
from tests.models.fusion.networks import drawn_weights, read, save, small_network
from tests.small import classifier, images, noise_for
from tf_deepbayes.core.architecture import FUSION
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.models.factorisations import FACTORISATIONS
from tf_deepbayes.models.fusion.classifier import FusionClassifier, latent_of
from tf_deepbayes.models.fusion.vgg16 import vgg16

SIZES = FUSION.replace(input_shape=(24,), dim_z=4, dim_h=16)
X = images(6, shape=(32, 32, 3))


def fusion(folder: pathlib.Path, name: str = "GBZ", layer: str = "features") -> FusionClassifier:
    """An untrained fusion model on a small extractor."""
    extractor = read(save(small_network(), folder / "net.keras"), layer, scale=0.1)
    sizes = SIZES.replace(input_shape=(extractor.size,))
    return FusionClassifier(classifier(name, sizes), extractor)


@pytest.mark.parametrize("name", ["DBX", "GBZ", "GBY"])
def test_logits_of_pixels_are_those_of_features(tmp_path: pathlib.Path, name: str) -> None:
    model = fusion(tmp_path, name)
    features, noise = model.features(X), noise_for(model.latent, 3, len(X))
    wanted = model.latent.logits(features, noise)
    np.testing.assert_array_equal(model.logits(X, noise), wanted)
    own = model.latent.log_weights(features, noise)
    np.testing.assert_array_equal(model.snapshots(X, noise), own)
    seeded = Sampling(4, seed=3)
    some = np.ones((6, 10), bool)
    np.testing.assert_allclose(
        model.class_logits(X, some, seeded), model.logits(X, sampling=seeded), rtol=1e-5
    )
    assert latent_of(model) is model.latent and latent_of(model.latent) is model.latent


def test_the_gradient_goes_through_the_extractor(tmp_path: pathlib.Path) -> None:
    """Against finite differences, as far as float32 and ReLU let them agree."""
    model = fusion(tmp_path, layer="conv")
    noise, x = noise_for(model.latent, 3, 1), tf.constant(X[:1])
    direction = np.random.default_rng(5).normal(size=x.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(model.logits(x, noise)[:, 0])
    slope = float(tf.reduce_sum(tape.gradient(value, x) * direction))
    step = 1e-3
    ends = [model.logits(x + sign * step * direction, noise)[0, 0] for sign in (1.0, -1.0)]
    found = float(ends[0] - ends[1]) / (2 * step)
    assert abs(found - slope) < 0.05 * abs(slope) + 1e-2


def test_the_extractor_is_traced_once(tmp_path: pathlib.Path) -> None:
    model = fusion(tmp_path)
    for count in (2, 3, 6):
        model.logits(X[:count])
    assert model.extractor._graph.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("name", ["DBX", "GBZ", "GFZ"])
def test_head_logits_are_those_of_the_label_network(name: str) -> None:
    """Their log-softmax is log p(y|z) at draws of q(z|x, y)."""
    model = classifier(name) if name == "GFZ" else classifier(name, SIZES)
    x = images(3, shape=model.architecture.input_shape)
    labels = np.array([0, 2, 1])
    found = model.label_logits(x, labels, num_samples=5, seed=7)
    noise = tf.random.stateless_normal([5, 1, 3, model.architecture.dim_z], model._seeds(7))
    one_hot = tf.one_hot(labels, model.architecture.num_classes)
    wanted = model.bound_terms(tf.constant(x), one_hot, noise)["p(y|z)"][:, 0]
    log_p = tf.reduce_sum(tf.nn.log_softmax(found) * one_hot, -1)
    np.testing.assert_allclose(log_p, wanted, rtol=1e-5, atol=1e-5)
    assert not np.array_equal(model.label_logits(x, labels), model.label_logits(x, labels))


def test_models_without_a_head_have_none_to_follow() -> None:
    """The line names the models of images, or of features, that have one."""
    line = r"^GBY has no p\(y\|z\) whose logits could be followed; choose GBZ or DBX$"
    with pytest.raises(InputError, match=line):
        classifier("GBY", SIZES).label_logits(np.zeros((1, 24), np.float32), [0])
    heads = {name for name in FACTORISATIONS if "p_y_z" in classifier(name).factors}
    with pytest.raises(InputError, match=r"^DFZ has no p\(y\|z\) .* could be") as caught:
        classifier("DFZ").label_logits(images(1), [0])
    assert set(re.findall(r"\w+", str(caught.value).split("choose ")[1])) - {"or"} == heads


def test_weights_are_those_of_both(tmp_path: pathlib.Path) -> None:
    model = fusion(tmp_path)
    arrays = model.get_weights()
    assert len(arrays) == len(model.latent.get_weights()) + 8 == len(model.weights)
    with pytest.raises(InputError, match=r"x must have shape \[B, 32, 32, 3\]"):
        model.logits(np.zeros((1, 24), np.float32))


def test_pixels_to_logits_through_the_published_network(tmp_path: pathlib.Path) -> None:
    """The logits of pixels are those of the features that the published code computed."""
    reference, network = golden("vgg_features"), vgg16()
    network.set_weights(drawn_weights(network))
    extractor = read(save(network, tmp_path / "vgg.keras"), "high")
    sizes = FUSION.replace(input_shape=(512,), dim_z=4, dim_h=16)
    model = FusionClassifier(classifier("GBZ", sizes), extractor)
    noise = noise_for(model.latent, 3, 2)
    wanted = model.latent.logits(reference["high"].reshape(2, 512), noise)
    np.testing.assert_allclose(model.logits(reference["x"], noise), wanted, rtol=1e-4)
