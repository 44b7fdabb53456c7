"""A network, cached features or a run that cannot be used: one line, status 2, nothing written.

The lines of all damages are tested where files are read (`tests/models/fusion`); here one of each
kind of file goes through a command.
"""

import json
import pathlib
import shutil
from collections.abc import Callable

import h5py
import keras
import numpy as np
import pytest

from tests.cli.commands.fusion.small_runs import FAST, SmallRuns
from tests.models.fusion.networks import (
    SHAPE,
    WIDTH,
    drawn_weights,
    save,
    small_network,
    write_old_h5,
)
from tf_deepbayes.models.fusion.vgg16 import vgg16

TRAIN = ["train/vae.py", "GBZ", "--data", "cifar10", *FAST, "--out", "new"]


def of_bytes() -> keras.Model:
    """A network that takes every image in [0, 1] for one of class 0."""
    x = keras.Input(SHAPE)
    mean, scores = keras.layers.GlobalAveragePooling2D(name="features"), keras.layers.Dense(10)
    model = keras.Model(x, scores(mean(x)))
    weight = np.zeros((3, 10), np.float32)
    weight[0, 9] = 1.0
    scores.set_weights([weight, np.array([100.0] + [0.0] * 9, np.float32)])
    return model


def with_code() -> keras.Model:
    x = keras.Input(SHAPE)
    return keras.Model(x, keras.layers.Lambda(lambda x: x + 1, name="lambda_1")(x))


def model(make: Callable[[], keras.Model]) -> Callable[[pathlib.Path], object]:
    return lambda path: save(make(), path)


def lacking(path: pathlib.Path) -> None:
    """Geifman's file at 1/16 of the width, without one of its arrays."""

    def change(file: h5py.File) -> None:
        del file["batch_normalization_3/batch_normalization_3/gamma:0"]

    write_old_h5(path, vgg16(WIDTH), drawn_weights(vgg16(WIDTH)), change=change)


# Name of the file, what makes it, a layer, and the line.
BAD: list[tuple[str, Callable[[pathlib.Path], object], str, str]] = [
    (
        *("net.keras", model(small_network), "conv10"),
        "no layer 'conv10' in net.keras; choose one of conv, norm, drop, flat, features, classes",
    ),
    (
        *("cnn_model.h5", model(of_bytes), "features"),
        "extractor cnn_model.h5 gets .100 of 300 training images right, by chance .100; its pixels "
        "may be others: give --pixels bytes or geifman",
    ),
    (
        *("cifar10vgg.h5", lacking, "mid"),
        "cifar10vgg.h5 lacks batch_normalization_3/gamma (128); fetch it again (sha1 3d62c7ae…)",
    ),
    (
        *("x.keras", model(with_code), "lambda_1"),
        "x.keras needs code that it does not hold (Lambda 'lambda_1'); nothing in it is run: save "
        "a model of Keras' own layers",
    ),
    (
        *("saved", model(small_network), "conv"),
        "saved is a SavedModel, which gives only its outputs: classes, features; choose one of "
        "them or give a .keras file",
    ),
]


def files(folder: pathlib.Path) -> dict[pathlib.Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize(("name", "make", "layer", "wanted"), BAD)
def test_a_network_that_cannot_be_used(
    runs: SmallRuns,
    tmp_path: pathlib.Path,
    name: str,
    make: Callable[[pathlib.Path], object],
    layer: str,
    wanted: str,
) -> None:
    make(tmp_path / name)
    before = files(runs.folder), files(tmp_path)
    line = runs.refused(*TRAIN, "--features", tmp_path / name, "--layer", layer)
    assert line == f"error: {wanted}"
    assert (files(runs.folder), files(tmp_path)) == before


def test_cached_features_that_cannot_be_used(
    runs: SmallRuns, trained: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (own,) = (runs.runs / "cifar10" / "features").iterdir()
    folder = tmp_path / own.name
    shutil.copytree(own, folder)
    info = json.loads((folder / "features.json").read_text())
    (folder / "features.json").write_text(json.dumps({**info, "digest": "1a2b" * 16}))
    given = ["--features", "net.keras", "--layer", "features", "--pixels", "unit"]
    assert runs.refused(*TRAIN, *given, "--cache", tmp_path) == (
        f"error: features in {folder} are of another extractor (digest 1a2b…, this one "
        f"{info['digest'][:4]}…); remove the folder or give the extractor that made them"
    )
    assert not (runs.folder / "new").exists() and not list(tmp_path.rglob("train.npy.done"))


@pytest.mark.parametrize(
    "command",
    [
        ["attack/attack.py", "--data", "cifar10", "--victim"],
        ["train/export.py", "--out", "exported"],
    ],
    ids=lambda command: command[0],
)
def test_a_run_without_its_extractor(
    runs: SmallRuns, trained: pathlib.Path, tmp_path: pathlib.Path, command: list[str]
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "extractor.keras").unlink()
    before = files(tmp_path)
    line = runs.refused(*command, tmp_path / "run")
    start = f"error: run {tmp_path / 'run'} lacks extractor.keras, or it is not the one that it was"
    assert line.startswith(f"{start} trained on (sha256 ")
    assert files(tmp_path) == before and not (runs.folder / "exported").exists()
