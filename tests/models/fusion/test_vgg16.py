"""The VGG16 of the fusion models: sizes, names, features of the published network."""

import keras
import numpy as np
import pytest

from tests.conftest import golden
from tests.models.fusion.networks import WIDTH, drawn_weights
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models.fusion import pixels, vgg16


def test_the_published_sizes_and_names() -> None:
    model = vgg16.vgg16()
    assert model.count_params() == 15_001_418 and len(model.get_weights()) == 86
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trained == 14_991_946
    found = {name: model.layers[number - 1] for name, number in vgg16.LAYERS.items()}
    assert {n: layer.name for n, layer in found.items()} == {
        **{"low": "max_pooling2d_2", "mid": "dropout_6"},
        "high": "dense_1",
    }
    assert [int(np.prod(layer.output.shape[1:])) for layer in found.values()] == [8192, 8192, 512]
    assert vgg16.is_published(model.layers) and not vgg16.is_published(model.layers[:-1])


def test_quarter_width() -> None:
    model = vgg16.vgg16(0.25)
    assert model.count_params() == 943_322 and vgg16.is_published(model.layers)
    sizes = [int(np.prod(model.layers[n - 1].output.shape[1:])) for n in vgg16.LAYERS.values()]
    assert sizes == [2048, 2048, 128]


def test_names_do_not_count_on_and_seeds_decide() -> None:
    one, two, other = vgg16.vgg16(WIDTH), vgg16.vgg16(WIDTH), vgg16.vgg16(WIDTH, seed=1)
    assert [layer.name for layer in one.layers] == [layer.name for layer in two.layers]
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])


def test_dropout_is_a_factor() -> None:
    dropped = [
        layer.rate
        for layer in vgg16.vgg16(WIDTH, dropout=0.5).layers
        if isinstance(layer, keras.layers.Dropout)
    ]
    assert dropped == [0.15, *[0.2] * 7, 0.25, 0.25]


@pytest.mark.parametrize("factors", [(0.0, 1.0), (2.0, 1.0), (float("nan"), 1.0), (1.0, -0.1)])
def test_factors_out_of_range(factors: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"must be from"):
        vgg16.vgg16(*factors)


def test_features_of_the_published_network() -> None:
    """Pixels → features and probabilities, as the published code's own functions computed them."""
    reference = golden("vgg_features")
    model = vgg16.vgg16()
    model.set_weights(drawn_weights(model))
    x = pixels.normalised(reference["x"], "geifman")
    outputs = [model.layers[number - 1].output for number in vgg16.LAYERS.values()]
    found = keras.Model(model.inputs, [*outputs, *model.outputs])(x, training=False)
    for name, values in zip([*vgg16.LAYERS, "probs"], found, strict=True):
        wanted = reference[name]
        given = np.asarray(values).reshape(wanted.shape)
        np.testing.assert_allclose(given, wanted, atol=1e-4, rtol=0, err_msg=name)
