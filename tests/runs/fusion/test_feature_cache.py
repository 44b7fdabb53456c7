"""Features on disk: resumed to the bit, told apart by their digest, one line for bad ones."""

import dataclasses
import errno
import json
import pathlib
import re
import shutil

import numpy as np
import pytest

from tests.models.fusion.networks import read, save, small_network
from tests.small import images
from tf_deepbayes.core import files
from tf_deepbayes.core.architecture import CIFAR
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.splits import Split
from tf_deepbayes.models.fusion.extractor import Extractor
from tf_deepbayes.runs.fusion import feature_cache
from tf_deepbayes.runs.fusion.feature_cache import FeatureCache, advice, raw_features, statistics

SIZES = CIFAR.replace(num_classes=10)


def small_data(count: int = 50, num_test: int = 20, seed: int = 0) -> Dataset:
    """Random bytes in ten classes."""
    pixels = (255 * images(count + num_test, seed, (32, 32, 3))).astype(np.uint8)
    labels = np.arange(count + num_test) % 10
    train = Split(pixels[:count], labels[:count])
    return Dataset("cifar10", train, Split(pixels[count:], labels[count:]), "here", sizes=SIZES)


@pytest.fixture
def extractor(tmp_path: pathlib.Path) -> Extractor:
    return read(save(small_network(), tmp_path / "net.keras"))


def test_features_are_those_of_the_extractor(tmp_path: pathlib.Path, extractor: Extractor) -> None:
    data = small_data(count=200)
    found, info = FeatureCache(extractor, data, tmp_path / "a", chunk=200).features()
    again, _ = FeatureCache(extractor, data, tmp_path / "b", chunk=50).features()
    for one, other in ((found.train, again.train), (found.test, again.test)):
        np.testing.assert_allclose(one.images, other.images, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.train.images, extractor(data.train.pixels), atol=1e-5)
    assert found.train.images.dtype == np.float32
    np.testing.assert_array_equal(found.train.labels, data.train.labels)
    assert info["largest"] == np.abs(found.train.images).max()
    np.testing.assert_allclose(
        info["mean_squared_deviation"], found.train.images.var(0).mean(), rtol=1e-5
    )


def test_the_scale_is_not_in_the_files(tmp_path: pathlib.Path, extractor: Extractor) -> None:
    data = small_data()
    found, info = FeatureCache(extractor, data, tmp_path).features()
    half = dataclasses.replace(extractor, scale=0.5)
    cache = FeatureCache(half, data, tmp_path)
    scaled, scaled_info = cache.features()
    np.testing.assert_array_equal(scaled.train.images, 0.5 * found.train.images)
    np.testing.assert_allclose(scaled.test.images, half(data.test.pixels), atol=1e-5)
    assert scaled_info["mean_squared_deviation"] == 0.25 * info["mean_squared_deviation"]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize("chunks", [0, 1, 3, 6])
def test_a_killed_pass_goes_on_to_the_same_bytes(
    tmp_path: pathlib.Path,
    extractor: Extractor,
    chunks: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = small_data()
    whole = FeatureCache(extractor, data, tmp_path / "whole", chunk=10)
    whole.features()
    calls: list[int] = []

    def dying(extractor: Extractor, images: np.ndarray) -> np.ndarray:
        if len(calls) == chunks:
            raise KeyboardInterrupt
        calls.append(len(images))
        return raw_features(extractor, images)

    cache = FeatureCache(extractor, data, tmp_path / "killed", chunk=10)
    with monkeypatch.context() as patched:
        patched.setattr(feature_cache, "raw_features", dying)
        with pytest.raises(KeyboardInterrupt):
            cache.features()
    assert not (cache.folder() / "features.json").exists()
    rest: list[int] = []

    def counting(extractor: Extractor, images: np.ndarray) -> np.ndarray:
        rest.append(len(images))
        return raw_features(extractor, images)

    monkeypatch.setattr(feature_cache, "raw_features", counting)
    cache.features()
    assert len(rest) == 7 - chunks  # five of training images, two of test images
    for name in ("train.npy", "test.npy", "features.json"):
        assert (cache.folder() / name).read_bytes() == (whole.folder() / name).read_bytes()
    assert not list(cache.folder().glob("*.partial"))


def test_other_features_have_another_digest(tmp_path: pathlib.Path) -> None:
    path, data = save(small_network(), tmp_path / "net.keras"), small_data()
    changed = data.train.images.copy()
    changed[3, 0, 0, 0] ^= 1
    other = dataclasses.replace(data, train=Split(changed, data.train.labels))
    seen = {
        FeatureCache(found, images, tmp_path).digest
        for found, images in (
            *((read(path), data), (read(path), other), (read(path, "conv"), data)),
            *((read(path, pixels="bytes"), data), (read(save(small_network(1), path)), data)),
        )
    }
    assert len(seen) == 5


def test_features_of_another_extractor(tmp_path: pathlib.Path, extractor: Extractor) -> None:
    cache = FeatureCache(extractor, small_data(), tmp_path)
    cache.features()
    info = cache.folder() / "features.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "digest": "1a2b" * 16}))
    line = (
        f"features in {cache.folder()} are of another extractor (digest 1a2b…, this one "
        f"{cache.digest[:4]}…); remove the folder or give the extractor that made them"
    )
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        cache.features()


@pytest.mark.parametrize("damage", ["short", "other", "missing"])
def test_damaged_features(tmp_path: pathlib.Path, extractor: Extractor, damage: str) -> None:
    cache = FeatureCache(extractor, small_data(), tmp_path)
    cache.features()
    path = cache.folder() / "train.npy"
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-4])
    elif damage == "other":
        np.save(path, np.zeros((50, 24)))
    else:
        path.unlink()
    line = f"features in {cache.folder()} are damaged: expected 50×24 float32; remove the folder"
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        cache.features()


def test_nan_is_refused(tmp_path: pathlib.Path) -> None:
    model = small_network()
    weights = model.get_layer("features").get_weights()
    weights[1][5] = np.nan
    model.get_layer("features").set_weights(weights)
    cache = FeatureCache(read(save(model, tmp_path / "net.keras")), small_data(), tmp_path)
    with pytest.raises(
        InputError, match=r"^layer features gives NaN for 50 images; choose another"
    ):
        cache.features()
    assert not (cache.folder() / "features.json").exists()


def test_a_full_disk(
    tmp_path: pathlib.Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=4000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    line = (
        f"features need 0.0 GB in {tmp_path}, 0.0 GB are free; give --cache or a layer with fewer "
        "values"
    )
    cache = FeatureCache(extractor, small_data(), tmp_path)
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        cache.features()
    assert not cache.folder().exists()


def test_a_disk_that_fills_up(
    tmp_path: pathlib.Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the first row; a mapped file would end the process with SIGBUS."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = FeatureCache(extractor, small_data(), tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(files.os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            cache.features()
    assert caught.value.filename == str(cache.folder() / "train.npy.partial")
    assert len(cache.features()[0].train) == 50


def test_advice_on_the_scale() -> None:
    random = np.random.default_rng(0)
    usual = statistics(random.normal(size=(1000, 8)) * 0.5)
    assert "feature_scale" not in advice(usual)
    for factor in (0.1, 4.0, 1.0):
        values = random.normal(size=(1000, 8)) * 0.5 * factor
        values[3, 2] = 182.0 if factor == 1.0 else 0.0
        assert "try another --feature_scale" in advice(statistics(values))
