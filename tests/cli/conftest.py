"""For tests of bad input: arguments that work, the files they need, and how an app may end.

`BAD_INPUT_EXAMPLES=1000 pytest tests/cli/test_bad_*.py` tries more than the default of 5.
"""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.cli.commands.fusion.small_runs import write_cifar
from tests.forked_app import run_app
from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.runs import checkpoints

EXAMPLES = int(os.environ.get("BAD_INPUT_EXAMPLES", "5"))
# A few images of one's own: mnist_5k has 5,000.
DATA = ["--data", "digits.npz"]
FEW = ["--num_images", "2", "--num_samples", "2", "--eval_draws", "1"]
RUN, ATTACKED, THRESHOLDS = "runs/digits/DBX", "fgsm_eps0.10", "thresholds.json"
HERE = [*DATA, "--runs", "runs"]
# App → arguments that work in the folder of `sound`, quickly.
APPS: dict[str, list[str]] = {
    "train/vae.py": [
        "DBX",
        *DATA,
        "--num_train",
        "50",
        "--epochs",
        "1",
        "--dim_z",
        "2",
        "--out",
        "new",
    ],
    "train/import_checkpoint.py": [
        "checkpoint_0.pkl",
        "--letter",
        "E",
        "--data",
        "mnist",
        "--out",
        "new",
    ],
    "train/export_checkpoint.py": [RUN, "--out", "new"],
    "train/export.py": [RUN, "--num_samples", "2", "--out", "new", *HERE],
    "attack/attack.py": ["--victim", "DBX", "--name", "fgsm", *FEW, *HERE],
    "attack/evaluate.py": [
        "--victim",
        "DBX",
        "--budget",
        "quick",
        "--attacks",
        "fgsm",
        "--check_images",
        "2",
        *FEW,
        *HERE,
    ],
    "attack/substitute.py": ["--victim", "DBX", "--num_train", "50", "--epochs", "1", *HERE],
    "attack/extract_index.py": ["--victim", "DBX", "--num_samples", "1", *HERE],
    "detect/detect.py": [
        *("--victim", "DBX", "--thresholds", THRESHOLDS, "--num_clean", "2", "--num_samples", "2"),
        *HERE,
    ],
    "train/vgg.py": [
        *("--data", "cifar10", "--data_dir", "data", "--width", "0.0157", "--num_train", "20"),
        *("--batch_size", "10", "--epochs", "1", "--out", "new"),
    ],
    "reproduce/tables.py": ["--format", "markdown", "--data", "digits", "--runs", "runs"],
}
Done = subprocess.CompletedProcess[str]
check = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def write_digits(folder: pathlib.Path, train: int = 200, test: int = 40) -> pathlib.Path:
    """A file of random 28×28 images of ten classes, of which those of a class are alike."""
    random = np.random.default_rng(0)
    means = random.integers(60, 190, size=(10, 28, 28, 1))
    arrays: dict[str, Any] = {}
    for split, count in (("train", train), ("test", test)):
        labels = np.arange(count) % 10
        pixels = means[labels] + random.integers(-50, 50, size=(count, 28, 28, 1))
        arrays |= {f"x_{split}": pixels.astype(np.uint8), f"y_{split}": labels}
    np.savez(folder / "digits.npz", **arrays)
    return folder / "digits.npz"


def untrained_runs(folder: pathlib.Path, *models: str) -> pathlib.Path:
    """A folder of runs of small classifiers that nothing has trained, with their digits.npz."""
    data = write_digits(folder)
    sizes = Architecture((28, 28, 1), num_classes=10, dim_z=4, dim_h=16, channels=(2, 3, 4))
    for name in models:
        config = checkpoints.RunConfig(name, data.stem, sizes, "l2", 0, {"data_path": str(data)})
        checkpoints.create(folder / data.stem / name, config, config.build())
    return folder


def assert_in_order(done: Done, what: object) -> None:
    """Done, or stopped with one line: status 2 for what came in, 1 for what came out."""
    shown = f"{what}: status {done.returncode}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stdout + done.stderr, shown
    if done.returncode:
        assert done.returncode in (1, 2), shown
        lines = done.stderr.splitlines()
        assert len(lines) == 1, shown
        assert lines[0].startswith("error: " if done.returncode == 2 else "stopped: "), shown


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with one of each kind of file, none of them damaged."""
    folder = tmp_path_factory.mktemp("sound")
    write_cifar(folder / "data", train=10, test=10)
    write_digits(folder)

    def run(script: str, *arguments: str) -> None:
        done = run_app(script, arguments, folder)
        assert done.returncode == 0, done.stderr

    run("train/vae.py", *APPS["train/vae.py"], "--out", RUN)
    run("train/export_checkpoint.py", RUN, "--out", "checkpoint_0.pkl")
    run("attack/attack.py", *APPS["attack/attack.py"])
    sizes = ["--num_train", "30", "--num_clean", "2", "--num_samples", "2"]
    run("detect/detect.py", "--victim", "DBX", *sizes, *HERE)
    (fitted,) = (folder / RUN / "detection").glob("thresholds_*.json")
    shutil.copy(fitted, folder / THRESHOLDS)
    run("attack/extract_index.py", *APPS["attack/extract_index.py"], "--out", "indices.json")
    return folder


@pytest.fixture
def folder(sound: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A place for the examples of one test."""
    yield tmp_path / "copy"


def fresh(sound: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The sound files once more, for one example."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    return folder
