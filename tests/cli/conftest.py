"""For tests of bad input: arguments that work, the files they need, and how an app may end.

`BAD_INPUT_EXAMPLES=1000 pytest tests/cli/test_bad_*.py` tries more than the default of 12.
"""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.cli.commands.fusion.small_runs import write_cifar
from tests.forked_app import run_app

EXAMPLES = int(os.environ.get("BAD_INPUT_EXAMPLES", "12"))
DATA = ["--data", "mnist_5k"]
FEW = ["--num_images", "2", "--num_samples", "2", "--eval_draws", "1"]
RUN, ATTACKED, THRESHOLDS = "runs/mnist_5k/DBX", "fgsm_eps0.10", "thresholds.json"
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
    "train/import_checkpoint.py": ["checkpoint_0.pkl", "--letter", "E", *DATA, "--out", "new"],
    "train/export_checkpoint.py": [RUN, "--out", "new"],
    "train/export.py": [RUN, "--num_samples", "2", "--out", "new", *HERE],
    "attack/attack.py": ["--victim", "DBX", "--name", "fgsm", *FEW, *HERE],
    "attack/evaluate.py": [
        "--victim",
        "DBX",
        "--budget",
        "quick",
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
    "reproduce/tables.py": ["--format", "markdown", *HERE],
}
Done = subprocess.CompletedProcess[str]
check = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


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
