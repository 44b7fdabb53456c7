"""`train_on_features`: a deep Bayes head on a Keras model in memory; settings of CIFAR-10."""

import dataclasses
import pathlib

import numpy as np
import pytest

from tests.models.fusion.networks import read, save, small_network
from tests.runs.fusion.test_feature_cache import small_data
from tf_deepbayes.core.architecture import CIFAR, FUSION
from tf_deepbayes.core.errors import InputError, TrainingDivergedError
from tf_deepbayes.data import datasets
from tf_deepbayes.runs.checkpoints import load_config
from tf_deepbayes.training import TrainingSettings
from tf_deepbayes.training.fusion.feature_runs import train_on_features

SETTINGS = TrainingSettings(epochs=1, batch_size=10, learning_rate=1e-3)


def test_a_model_in_memory_is_copied_and_left_as_it_is(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model, data = small_network(), small_data()
    before = [array.copy() for array in model.get_weights()]
    how = {"pixels": "unit", "feature_scale": 0.5}
    run = train_on_features("DBX", data, model, "features", SETTINGS, **how)  # type: ignore
    for array, wanted in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(array, wanted)
    assert len(model.trainable_variables) == 8 and model.get_layer("conv").trainable
    said = load_config(run.folder).extractor or {}
    assert run.folder.name == f"DBX_{model.name}_features_scale0.5"
    assert said["feature_scale"] == 0.5 and said["test_accuracy"] is not None
    assert load_config(run.folder).training["kl_warm_up"] == 0
    path = save(model, tmp_path / f"{model.name}.keras")
    features = read(path, scale=0.5)(data.test.pixels)
    found = run.model.logits(data.test.pixels, seed=3)
    wanted = run.model.latent.logits(features, seed=3)  # type: ignore[union-attr]
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert "features: mean squared deviation" in capsys.readouterr().out
    again = train_on_features("DBX", data, path, "features", SETTINGS, **how)  # type: ignore
    np.testing.assert_array_equal(again.model.logits(data.test.pixels, seed=3), found)


def test_a_training_that_diverges_names_the_scale(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TrainingDivergedError, match=r"or a smaller --feature_scale"):
        train_on_features(
            *("GBZ", small_data(), small_network(), "features", SETTINGS, tmp_path / "run"),
            **{"pixels": "unit", "feature_scale": 1e18, "cache": tmp_path / "features"},  # type: ignore
        )


def test_bad_input_writes_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, model = small_data(), small_network()
    with pytest.raises(InputError, match=r"^GFZ has no published form on features"):
        train_on_features("GFZ", data, model, "features", SETTINGS)
    with pytest.raises(InputError, match=r"^no layer 'none' in .*keras; choose one of conv, norm"):
        train_on_features("GBZ", data, model, "none", SETTINGS)
    large = dataclasses.replace(data, train=data.train.first(5))
    with pytest.raises(InputError, match=r"batch size 10 is more than the 5 training images"):
        train_on_features("GBZ", large, model, "features", SETTINGS, pixels="unit")
    assert not list(tmp_path.rglob("config.json"))


def test_cifar10_has_the_settings_of_the_docs() -> None:
    """In pixels the sizes of plane_frog with ten classes; Adam 1e-4, 100 epochs, batches of 50."""
    assert TrainingSettings.for_data("cifar10") == TrainingSettings()
    assert datasets.architecture("cifar10") == CIFAR.replace(num_classes=10)
    assert FUSION.num_classes == 10 and (FUSION.dim_z, FUSION.dim_h) == (128, 1000)
