"""Our classifiers as Keras models: the same whatever Keras is set to, saved and copied."""

import copy
import pathlib
import pickle

import keras
import numpy as np
import pytest

from tests.small import classifier, images
from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models import registry
from tf_deepbayes.models.keras_model import own_settings

SIZES = Architecture((8, 8, 1), 3, dim_z=2, dim_h=8, channels=(2, 2, 2))
X = images(4, shape=(8, 8, 1))


@pytest.mark.parametrize("name", ["GFZ", "DBX", "CNN"])
def test_the_networks_do_not_depend_on_keras_settings(name: str) -> None:
    usual = registry.build(name, SIZES)
    config = keras.config
    try:
        config.set_floatx("float64")
        config.set_image_data_format("channels_first")
        config.set_dtype_policy("mixed_float16")
        other = registry.build(name, SIZES)
        assert config.floatx() == "float64" and config.image_data_format() == "channels_first"
        assert config.dtype_policy().name == "mixed_float16"
        np.testing.assert_array_equal(other.logits(X, seed=1), usual.logits(X, seed=1))
    finally:
        config.set_floatx("float32")
        config.set_image_data_format("channels_last")
        config.set_dtype_policy("float32")
    assert [w.dtype for w in other.weights] == [w.dtype for w in usual.weights]


def test_the_one_other_policy_is_kept() -> None:
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        with own_settings():
            assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


# Keras writes weights through h5py, whose arrays NumPy 2 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", ["GFZ", "GBY", "DFX", "BNN"])
def test_a_saved_copied_or_pickled_classifier_is_the_same(
    name: str, tmp_path: pathlib.Path
) -> None:
    model = classifier(name, SIZES) if name != "BNN" else registry.build(name, SIZES)
    expected = model.logits(X, seed=1)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for other in (again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(other) is type(model) and other.architecture == SIZES
        np.testing.assert_allclose(other.logits(X, seed=1), expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["compile", "fit"])
def test_compile_and_fit_say_what_to_use(method: str) -> None:
    with pytest.raises(InputError, match=r"tf_deepbayes.train\(model, data\)"):
        getattr(registry.build("DBX", SIZES), method)("adam")
