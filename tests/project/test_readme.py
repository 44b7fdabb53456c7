"""README's Python runs as it stands, in a folder with a user's own data and model."""

import pathlib

import keras
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.project.test_docs import program

README = (ROOT / "README.md").read_text()


def write_own_files() -> None:
    """digits.npz: three classes of bright squares; mine.keras: a softmax classifier of them."""
    random = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = random.uniform(0.0, 0.3, (90, 8, 8)).astype(np.float32)
    for image, label in zip(x, y, strict=True):
        image[2 * label : 2 * label + 2] += 0.6
    np.savez("digits.npz", x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    keras.utils.set_random_seed(0)
    keras.Sequential(layers).save("mine.keras")


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras writing a model
@pytest.mark.filterwarnings("ignore:.*exactly zero")
def test_the_code_runs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_own_files()
    exec(compile(program(README), "README.md", "exec"), {"__name__": "readme"})
    assert pathlib.Path("robustness.png").stat().st_size > 5000
    assert (pathlib.Path("runs") / "digits" / "GFZ" / "checkpoint.npz").is_file()


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    import re

    assert len(README.splitlines()) < 250
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).is_file(), target
