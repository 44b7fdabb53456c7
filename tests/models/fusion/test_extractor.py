"""Extractors: the same features from every kind of file, inference mode, one line for bad input."""

import json
import pathlib
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.fusion.networks import (
    SHAPE,
    WIDTH,
    drawn_weights,
    read,
    save,
    small_network,
    write_old_h5,
)
from tests.small import images
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models.fusion import extractor as extractors
from tf_deepbayes.models.fusion.extractor import check_accuracy, read_extractor
from tf_deepbayes.models.fusion.network import of_keras
from tf_deepbayes.models.fusion.reading import read_network
from tf_deepbayes.models.fusion.vgg16 import vgg16

X = images(5, shape=SHAPE)


@pytest.mark.parametrize("name", ["net.keras", "net.h5", "net"])
def test_all_files_give_the_same_features(tmp_path: pathlib.Path, name: str) -> None:
    model = small_network()
    inner = keras.Model(model.inputs[0], model.get_layer("features").output)
    wanted = np.asarray(inner(255.0 * X, training=False))
    found = read(save(model, tmp_path / name), pixels="bytes")
    assert found.size == 24 and found.network.output_shape == (24,)
    np.testing.assert_allclose(found(X), wanted, rtol=1e-6, atol=1e-6)


def test_features_are_in_inference_mode(tmp_path: pathlib.Path) -> None:
    """Batch normalisation and dropout inside: no noise, and no influence of other images."""
    found = read(save(small_network(), tmp_path / "net.keras"))
    np.testing.assert_array_equal(found(X), found(X))
    np.testing.assert_allclose(found(X)[:2], found(X[:2]), atol=1e-5)
    assert not found.network.holder.trainable_variables


def test_rows_of_features_are_h_w_channels_and_the_scale_multiplies(tmp_path: pathlib.Path) -> None:
    path = save(small_network(), tmp_path / "net.keras")
    raw, scaled = read(path, "conv"), read(path, "conv", scale=0.5)
    assert raw.network.output_shape == (8, 8, 3) and raw.network.number == 1
    output = raw.network.output(tf.constant(X)).numpy()
    np.testing.assert_array_equal(raw(X), output.reshape(5, -1))
    np.testing.assert_array_equal(scaled(X), 0.5 * output.reshape(5, -1))


def test_published_names_of_layers(tmp_path: pathlib.Path) -> None:
    model = vgg16(WIDTH)
    names = {"low": "max_pooling2d_2", "mid": "dropout_6", "high": "dense_1"}
    for label, name in names.items():
        for asked in (label, name):
            found = of_keras(save(model, tmp_path / "vgg.keras"), model, asked)
            assert (found.layer, found.label, found.pixels) == (name, label, "geifman")


def test_the_digest_tells_networks_layers_and_pixels_apart(tmp_path: pathlib.Path) -> None:
    one = save(small_network(), tmp_path / "one.keras")
    other = save(small_network(1), tmp_path / "other.keras")
    found = [read(one), read(other), read(one, "conv"), read(one, pixels="bytes")]
    assert len({each.digest for each in found}) == 4
    assert read(one).digest == found[0].digest


@pytest.mark.parametrize("name", ["net.keras", "net"])
def test_a_stored_extractor_is_the_same(tmp_path: pathlib.Path, name: str) -> None:
    found = read(save(small_network(), tmp_path / name), pixels="bytes", scale=2.0)
    folder = tmp_path / "run"
    folder.mkdir()
    settings = {**found.settings(), extractors.STORED: extractors.store(found, folder)}
    settings = json.loads(json.dumps(settings))
    again = extractors.load(folder, settings)
    np.testing.assert_array_equal(again(X), found(X))
    assert again.settings()["layer"] == "features"
    settings[extractors.STORED] = "0" * 64
    with pytest.raises(
        InputError, match=r"lacks extractor.keras, or it is not the one that it was"
    ):
        extractors.load(folder, settings)


def refused(path: pathlib.Path, line: str, layer: str | None = "features") -> None:
    """Reading it ends with that one line."""
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        read_extractor(path, layer, SHAPE, "cifar10")


def test_no_such_layer(tmp_path: pathlib.Path) -> None:
    names = ", ".join(layer.name for layer in vgg16(WIDTH).layers)
    line = (
        "no layer 'conv10' in vgg.keras; choose low (max_pooling2d_2), mid (dropout_6), high "
        f"(dense_1) or one of {names}"
    )
    refused(save(vgg16(WIDTH), tmp_path / "vgg.keras"), line, "conv10")
    names = "conv, norm, drop, flat, features, classes"
    line = f"no layer 'mid' in net.keras; choose one of {names}"
    refused(save(small_network(), tmp_path / "net.keras"), line, "mid")


def _functional(shape: tuple[int | None, ...], **options: object) -> keras.Model:
    x = keras.Input(shape, name="x")
    y = keras.layers.Conv2D(2, 3, name="conv", **options)(x)
    return keras.Model(x, keras.layers.GlobalAveragePooling2D(name="features")(y))


def test_images_of_another_size(tmp_path: pathlib.Path) -> None:
    path = save(_functional((224, 224, 3)), tmp_path / "vgg.keras")
    line = "extractor vgg.keras takes 224×224×3, cifar10 has 32×32×3; give one trained on 32×32×3"
    refused(path, line)


def test_a_layer_without_a_fixed_size_and_one_with(tmp_path: pathlib.Path) -> None:
    path = save(_functional((None, None, 3)), tmp_path / "net.keras")
    line = "layer 'conv' gives [None, None, None, 2]; choose one of fixed size"
    refused(path, line, "conv")
    assert read(path).size == 2


def test_several_inputs_and_channels_first(tmp_path: pathlib.Path) -> None:
    inputs = [keras.Input(SHAPE), keras.Input(SHAPE)]
    model = keras.Model(inputs, keras.layers.Add(name="features")(inputs))
    line = "extractor two.keras has 2 inputs; expected one image"
    refused(save(model, tmp_path / "two.keras"), line)
    x = keras.Input((3, 32, 32))
    y = keras.layers.Conv2D(2, 3, data_format="channels_first", name="features")(x)
    path = save(keras.Model(x, y), tmp_path / "net.keras")
    refused(path, "extractor net.keras is channels first; give one with channels last")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_is_not_run(tmp_path: pathlib.Path, suffix: str) -> None:
    x = keras.Input(SHAPE)
    model = keras.Model(x, keras.layers.Lambda(lambda x: x + 1, name="lambda_1")(x))
    path = save(model, tmp_path / f"x{suffix}")
    line = (
        f"x{suffix} needs code that it does not hold (Lambda 'lambda_1'); nothing in it is run: "
        "save a model of Keras' own layers"
    )
    refused(path, line)


class Own(keras.layers.Layer):
    """Somebody's layer, which no file holds."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_layer_of_somebodys_own(tmp_path: pathlib.Path, suffix: str) -> None:
    model = keras.Sequential([keras.Input(SHAPE), Own(name="mine")])
    path = save(model, tmp_path / f"x{suffix}")
    with pytest.raises(InputError, match=r"needs code that it does not hold \(Own\)"):
        read(path)


def test_a_saved_model_has_only_its_outputs(tmp_path: pathlib.Path) -> None:
    path = save(small_network(), tmp_path / "x")
    line = (
        "x is a SavedModel, which gives only its outputs: classes, features; choose one of them or "
        "give a .keras file"
    )
    refused(path, line, "conv")


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
@pytest.mark.parametrize("kept", [0, 50, 3000, "<html>404: not found</html>\n"])
def test_a_damaged_file_is_one_line(tmp_path: pathlib.Path, name: str, kept: int | str) -> None:
    path = save(small_network(), tmp_path / name)
    path.write_bytes(kept.encode() if isinstance(kept, str) else path.read_bytes()[:kept])
    with pytest.raises(InputError, match=rf"^{name} is damaged \(.+\); fetch it again$"):
        read(path)


def test_weights_alone_and_other_files(tmp_path: pathlib.Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small_network().save_weights(tmp_path / "x.weights.h5")
    line = (
        "x.weights.h5 holds weights and no model, and they are not those of Geifman's VGG16; save "
        "the whole model as .keras"
    )
    refused(tmp_path / "x.weights.h5", line)
    path = tmp_path / "cifar10vgg.h5"
    model = vgg16(WIDTH)
    write_old_h5(path, model, drawn_weights(model))
    with pytest.raises(InputError, match=r"conv2d_1/kernel must be 3×3×3×64, got 3×3×3×4"):
        read_network(path, "mid")
    (tmp_path / "net.pt").write_bytes(b"")
    with pytest.raises(InputError, match=r"net.pt is no .keras"):
        read(tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"no extractor .*none.keras"):
        read(tmp_path / "none.keras")
    with pytest.raises(InputError, match=r"is no SavedModel"):
        read(tmp_path)


def test_other_pixels_show_in_the_own_accuracy(tmp_path: pathlib.Path) -> None:
    """A network that answers by brightness is at chance on pixels that are 255 times too dark."""
    x = keras.Input(SHAPE)
    mean = keras.layers.GlobalAveragePooling2D(name="features")(x)
    scores = keras.layers.Dense(10, name="scores")
    model = keras.Model(x, scores(mean))
    weight = np.zeros((3, 10), np.float32)
    weight[0, 9] = 1.0
    scores.set_weights([weight, np.array([100.0] + [0.0] * 9, np.float32)])
    path = save(model, tmp_path / "cnn.keras")
    bright, labels = np.full((20, *SHAPE), 0.9, np.float32), np.full(20, 9)
    line = (
        "extractor cnn.keras gets .000 of 20 training images right, by chance .100; its pixels may "
        "be others: give --pixels bytes or geifman"
    )
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        check_accuracy(read(path), bright, labels, insist=False)
    assert ".000 of 20" in str(check_accuracy(read(path), bright, labels, insist=True))
    right = read(path, pixels="bytes")
    assert check_accuracy(right, bright, labels, insist=False) == (
        "extractor cnn.keras gets 1.000 of 20 training images right"
    )


def test_settings_are_checked(tmp_path: pathlib.Path) -> None:
    path = save(small_network(), tmp_path / "net.keras")
    with pytest.raises(InputError, match=r"pixels must be one of geifman, bytes, unit, got 'grey'"):
        read(path, pixels="grey")
    for scale in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match=r"feature_scale must be a finite number above 0"):
            read(path, scale=scale)
