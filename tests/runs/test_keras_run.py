"""A person's own Keras file as the victim of the apps."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.conftest import ROOT
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.runs.run import keras_run

SIZE = 8
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras writing a model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """soft.keras, plain.keras, two_inputs.keras and digits.npz."""
    found = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (40, SIZE, SIZE)).astype(np.uint8)
    np.savez(found / "digits.npz", x=x, y=np.arange(40) % 3)
    keras.utils.set_random_seed(0)
    for name, activation in (("soft", "softmax"), ("plain", None)):
        layers = [keras.layers.Flatten(), keras.layers.Dense(3, activation)]
        keras.Sequential([keras.Input((SIZE, SIZE, 1)), *layers]).save(found / f"{name}.keras")
    one, two = keras.Input((SIZE, SIZE, 1)), keras.Input((SIZE, SIZE, 1))
    out = keras.layers.Dense(3)(keras.layers.Flatten()(one + two))
    keras.Model([one, two], out).save(found / "two_inputs.keras")
    (found / "damaged.keras").write_bytes(b"nothing")
    return found


def app(script: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, ROOT / script, *arguments]
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


def test_the_apps_attack_and_evaluate_it(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    common = ["--victim", folder / "soft.keras", "--data", folder / "digits.npz"]
    common += ["--outputs", "probabilities", "--runs", tmp_path, "--num_images", 6]
    done = app("attack/attack.py", *common, "--attack", "pgd", "--nb_iter", 2)
    assert done.returncode == 0, done.stderr
    result = json.loads(
        (tmp_path / "digits" / "soft" / "attacks" / "pgd_nb_iter2_n6_eps0.10.json").read_text()
    )
    assert result["model"] == "soft" and result["figures"]["num_images"] == 6
    done = app("attack/evaluate.py", *common, "--budget", "quick")
    assert done.returncode == 0, done.stderr
    assert "worst case of each image" in done.stdout
    refused = app("attack/attack.py", *common[:4], "--runs", tmp_path)
    assert refused.returncode == 2 and "they are probabilities" in refused.stderr
    other = app("attack/attack.py", *common[:2], *common[4:], "--data", "mnist_5k")
    assert other.returncode == 2 and "mnist_5k has images [28, 28, 1]" in other.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.keras", "no file"),
        ("damaged.keras", "cannot be loaded by Keras"),
        ("two_inputs.keras", "expected one input"),
        ("soft.keras", "they are probabilities"),
    ],
)
def test_what_is_no_classifier_is_refused(
    folder: pathlib.Path, name: str, message: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(InputError, match=message):
        keras_run(folder / name, "digits", tmp_path)
