"""Kill the apps at random moments and see that nothing is lost: python -m tests.kill_apps.

Training, attack, import and export are started on a few digits, killed with SIGKILL at a random
moment, looked at and started again, until each was killed as often as asked for. After each kill
whatever bears its final name must be whole; in the end every result must be that of a run that
was left alone. One line for each kill; exit status 1 at the first fault.
"""

import argparse
import dataclasses
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tests.conftest import ROOT, app_environment
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.files import read_arrays
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.runs import checkpoints, published_checkpoints, results
from tf_deepbayes.training.journal import read_history

DATA = "mnist_5k"
SMALL = ["--data", DATA, "--num_train", "400", "--epochs", "8", "--dim_z", "4"]
ATTACK = [
    "--attack",
    "pgd",
    "--num_images",
    "24",
    "--batch_size",
    "2",
    "--nb_iter",
    "20",
    "--name",
    "pgd",
]
DIGITS = np.linspace(0.0, 1.0, 2 * 784, dtype=np.float32).reshape(2, 28, 28, 1)
Content = dict[str, Array]


class FaultError(Exception):
    """What is on disk is not what it should be."""


@dataclasses.dataclass(frozen=True)
class Case:
    """Something to kill.

    Attributes:
        command: of the app, in the folder that is given.
        read: what is on disk there; empty when nothing has its final name yet. Raises at anything
            half-written.
        replaces: a whole result lies where the command writes.
    """

    name: str
    command: Callable[[pathlib.Path], list[str]]
    read: Callable[[pathlib.Path], Content]
    replaces: bool = False


def read_run(folder: pathlib.Path) -> Content:
    """Weights and epoch of a run that every app would load."""
    if not (folder / checkpoints.CONFIG).exists():
        assert not (folder / checkpoints.CHECKPOINT).exists()
        return {}
    checkpoints.load_config(folder)
    epochs = [int(row["epoch"]) for row in read_history(folder)]
    assert epochs == list(range(1, len(epochs) + 1))
    if not (folder / checkpoints.CHECKPOINT).exists():
        return {}
    checkpoints.load_model(folder)
    return read_arrays(folder / checkpoints.CHECKPOINT, "")


def read_attack(folder: pathlib.Path) -> Content:
    """Images of an attack whose result is there; the finished batches have to be whole."""
    attacks = folder / "attacks"
    for path in attacks.glob("*.partial/batch_*.npz"):
        assert np.isfinite(read_arrays(path, "")["adversarial"]).all()
    if not (attacks / "pgd_eps0.10.json").exists():
        return {}
    assert results.read_result(attacks / "pgd_eps0.10.json", "attack")["figures"]
    return saved_attacks.read_attack_arrays(attacks / "pgd_eps0.10.npz")


def read_export(folder: pathlib.Path) -> Content:
    """Logits of an exported model."""
    if not (folder / "export").exists():
        return {}
    model = tf.saved_model.load(str(folder / "export"))
    return {name: a.numpy() for name, a in model.signatures["logits"](tf.constant(DIGITS)).items()}


def read_pickle(folder: pathlib.Path) -> Content:
    """Arrays of an exported checkpoint."""
    path = folder / "checkpoint_0.pkl"
    return published_checkpoints.read_checkpoint(path) if path.exists() else {}


def cases(run: pathlib.Path, published: pathlib.Path) -> Iterator[Case]:
    """The cases, given a trained run and a published checkpoint of it."""
    train = ["train/vae.py", "DBX", *SMALL, "--resume", "--out"]
    yield Case("train", lambda at: [*train, str(at / "run")], lambda at: read_run(at / "run"))
    attack = ["attack/attack.py", "--resume", *ATTACK, "--victim"]
    # The victim is linked, so that each attack has a run folder, and with it results, of its own.
    yield Case("attack", lambda at: [*attack, str(linked(run, at))], read_attack)
    take = ["train/import_checkpoint.py", str(published), "--letter", "E", "--data", DATA, "--out"]
    yield Case("import", lambda at: [*take, str(at / "run")], lambda at: read_run(at / "run"))
    give = ["train/export_checkpoint.py", str(run), "--out"]
    yield Case("export_checkpoint", lambda at: [*give, str(at / "checkpoint_0.pkl")], read_pickle)
    export = ["train/export.py", str(run), "--num_samples", "2", "--out"]
    yield Case("export", lambda at: [*export, str(at / "export")], read_export)
    again = [*export[:-1], "--overwrite", "--out"]
    yield Case("overwrite", lambda at: [*again, str(at / "export")], read_export, True)


def linked(run: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """A run folder with the configuration and weights of another."""
    for name in (checkpoints.CONFIG, checkpoints.CHECKPOINT):
        if not (folder / name).exists():
            (folder / name).symlink_to(run / name)
    return folder


def start(command: list[str]) -> subprocess.Popen[str]:
    """An app as a user starts it."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / command[0]), *command[1:]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=app_environment(tempfile.gettempdir()),
    )


def complete(command: list[str]) -> float:
    """Run to the end; the seconds it took."""
    started = time.monotonic()
    process = start(command)
    _, errors = process.communicate()
    if process.returncode:
        raise FaultError(f"status {process.returncode}: {errors.strip().splitlines()[-1:]}")
    return time.monotonic() - started


def kill(command: list[str], after: float) -> float | None:
    """Start and kill; the seconds it took where it ended before."""
    started = time.monotonic()
    process = start(command)
    try:
        process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    if process.returncode > 0:
        raise FaultError(f"status {process.returncode} after an earlier kill")
    return None if process.returncode else time.monotonic() - started


def same(found: Content, expected: Content) -> bool:
    """Whether all arrays are equal; logits of a model may differ in the last bits."""
    return found.keys() == expected.keys() and all(
        np.allclose(found[name], expected[name], rtol=1e-6, atol=1e-5) for name in expected
    )


def look(case: Case, folder: pathlib.Path, expected: Content) -> bool:
    """Whether the result is there; FaultError when what is there is something else."""
    found = case.read(folder)
    finished = same(found, expected)
    if case.replaces and not finished:
        raise FaultError("the result that was to be replaced is gone")
    if found and not finished and case.name != "train":  # whose weights are of an earlier epoch
        raise FaultError("a result is there that is not that of a run left alone")
    return finished


def torment(case: Case, folder: pathlib.Path, kills: int, random_numbers: random.Random) -> None:
    """Kill one case as often as asked for, then let it end."""
    whole, cut = folder / "whole", folder / "cut"
    whole.mkdir(parents=True)
    cut.mkdir()
    seconds = complete(case.command(whole))
    expected = case.read(whole)
    if case.replaces:
        complete(case.command(cut))
    done = 0
    while done < kills:
        # The first third of the time goes into importing TensorFlow.
        after = random_numbers.uniform(0.3, 1.0) * seconds
        ended = kill(case.command(cut), after)
        finished = look(case, cut, expected)
        if ended is None:
            done += 1
            what = "whole" if finished else "begun" if any(cut.iterdir()) else "nothing"
            print(f"{case.name:18} killed after {after:5.1f} s: {what}", flush=True)
        else:
            seconds = ended  # the machine has more time for it than at first
        if finished and not case.replaces:
            shutil.rmtree(cut)
            cut.mkdir()
    if not same(case.read(cut), expected):
        complete(case.command(cut))
    if not same(case.read(cut), expected):
        raise FaultError("the result is not that of a run left alone")


def main() -> None:
    """Prepare a run and its published checkpoint, then torment every case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=6, help="of each case (default: 6)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        run, published = folder / "run", folder / "checkpoint_0.pkl"
        complete(["train/vae.py", "DBX", *SMALL, "--out", str(run)])
        complete(["train/export_checkpoint.py", str(run), "--out", str(published)])
        found = list(cases(run, published))
        for case in found:
            try:
                torment(case, folder / case.name, options.kills, random.Random(options.seed))
            except Exception as error:
                sys.exit(f"{case.name}: {error!r}")
        print(f"{options.kills * len(found)} kills, nothing lost")


if __name__ == "__main__":
    main()
