"""A small CIFAR-10, a small network, and a fusion model on its features, made by the apps."""

import pathlib
import pickle
import shutil
from typing import Any

import numpy as np

from tests.forked_app import run_app
from tests.models.fusion.networks import save, small_network
from tf_deepbayes.data import places, readers

FAST = ["--epochs", "2", "--batch_size", "20", "--dim_z", "4", "--learning_rate", "1e-3"]


def write_cifar(folder: pathlib.Path, train: int = 60, test: int = 40) -> pathlib.Path:
    """Random pictures, of which those of a class are alike: `train` in each of five files."""
    random = np.random.default_rng(0)
    means = random.integers(60, 190, size=(10, 3, 1))
    target = folder / places.CIFAR_FOLDER
    target.mkdir(parents=True)
    names = {name: train for name in readers.CIFAR_FILES["train"]} | {"test_batch": test}
    for name, count in names.items():
        labels = np.arange(count) % 10
        pixels = means[labels] + random.integers(-50, 50, size=(count, 3, 1024))
        batch = {"data": pixels.reshape(count, -1).astype(np.uint8), "labels": labels.tolist()}
        (target / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


class SmallRuns:
    """The apps in a folder with `data`, `net.keras` and `runs`."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.runs = folder, folder / "runs"
        if not folder.joinpath("data").exists():
            write_cifar(folder / "data")
            save(small_network(), folder / "net.keras")

    def copy(self, folder: pathlib.Path) -> "SmallRuns":
        """The same files in another folder."""
        return SmallRuns(shutil.copytree(self.folder, folder))

    def run(self, *command: object) -> Any:
        """A command in the folder, with its data and its runs."""
        script, *arguments = map(str, command)
        where = ["--runs", "runs"] if "checkpoint" not in script else []
        has_data = not script.endswith(("export.py", "export_checkpoint.py", "tables.py"))
        where += ["--data_dir", "data"] if has_data else []
        return run_app(script, [*where, *arguments], self.folder, timeout=600.0)

    def __call__(self, *command: object) -> str:
        """The output of a command that works."""
        done = self.run(*command)
        assert done.returncode == 0, done.stderr
        assert not done.stderr, done.stderr
        return str(done.stdout)

    def refused(self, *command: object) -> str:
        """The one line of a command that is refused."""
        done = self.run(*command)
        assert done.returncode == 2, (done.stdout, done.stderr)
        (line,) = done.stderr.splitlines()
        return str(line)

    def train(self, name: str = "GBZ", *arguments: object) -> pathlib.Path:
        """The folder of a model on `features` of `net.keras`."""
        features = ["--features", "net.keras", "--layer", "features", "--pixels", "unit"]
        out = self("train/vae.py", name, "--data", "cifar10", *features, *FAST, *arguments)
        return self.folder / out.splitlines()[-1]


def arrays(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """The checkpoint of a run."""
    with np.load(folder / "checkpoint.npz") as file:
        return dict(file)
