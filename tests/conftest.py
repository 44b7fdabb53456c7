"""Shared fixtures: golden data, small classifiers, the apps."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.forked_app import run_app

ROOT = pathlib.Path(__file__).resolve().parents[1]
GOLDEN_FOLDERS = (ROOT / "tests" / "golden", ROOT.parent / "shared" / "golden")


class Golden:
    """One file of reference data: arrays by name, `meta`, and the published parameters."""

    def __init__(self, path: pathlib.Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self.arrays = {name: file[name] for name in file.files}
        meta = self.arrays.pop("meta_json", None)
        self.meta: dict[str, Any] = {} if meta is None else json.loads(bytes(meta))

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays `prefix/<name>` by name."""
        start = prefix + "/"
        return {n.removeprefix(start): a for n, a in self.arrays.items() if n.startswith(start)}


def golden(name: str) -> Golden:
    """Reference data of the published code; the test is skipped where the file is absent."""
    for folder in GOLDEN_FOLDERS:
        if (folder / f"{name}.npz").is_file():
            return Golden(folder / f"{name}.npz")
    return pytest.skip(f"golden file {name}.npz is in neither tests/golden nor ../shared/golden")


def app_environment(keras_cache: str) -> dict[str, str]:
    """The environment of a user who starts an app: nothing that importing TensorFlow has set."""
    environment = {**os.environ, "KERAS_HOME": keras_cache}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    if not tf.config.list_physical_devices("GPU"):
        environment["CUDA_VISIBLE_DEVICES"] = "-1"  # with CUDA: no note that a GPU is missing
    return environment


App = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def app(tmp_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> App:
    """Run one of the apps as a user does, in an empty folder, with an empty Keras cache."""
    environment = app_environment(str(tmp_path_factory.mktemp("keras")))
    return lambda script, *arguments: run_app(script, arguments, tmp_path, environment, 600.0)


@pytest.fixture
def fresh_app(tmp_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> App:
    """As `app`, in a Python of its own: five seconds slower, and all that a user sees."""
    environment = app_environment(str(tmp_path_factory.mktemp("keras")))

    def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / script), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600
        )

    return run
