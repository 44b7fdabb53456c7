"""Training and attacks on two logical CPUs, and training by two processes, against one device."""

import json
import pathlib
import signal
import socket
import time
from multiprocessing.process import BaseProcess

import numpy as np
import pytest

from tests.conftest import app_environment
from tests.forked_app import run_app, start_app
from tf_deepbayes.core import devices
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_json
from tf_deepbayes.evaluation.workers import spread
from tf_deepbayes.training import strategies
from tf_deepbayes.training.journal import read_history
from tf_deepbayes.training.settings import TrainingSettings

TRAIN = ["--data", "mnist_5k", "--num_train", "40", "--eval_every", "1000"]
DIM_Z = ["--dim_z", "4"]
# Sums over two halves of a batch are rounded otherwise, and Adam makes a step of 1e-4 of a gradient
# that is all rounding: few weights may differ by a step, and all of them by a hundredth on average.
WEIGHTS = 1e-6


def succeed(folder: pathlib.Path, script: str, *arguments: object) -> str:
    """What an app that ends well writes to stderr."""
    done = run_app(script, arguments, folder, app_environment(str(folder)), 600.0)
    assert done.returncode == 0, done.stderr
    return done.stderr


def assert_same_weights(one: pathlib.Path, other: pathlib.Path) -> None:
    with np.load(one / "checkpoint.npz") as a, np.load(other / "checkpoint.npz") as b:
        assert set(a.files) == set(b.files) and a["epoch"] == b["epoch"]
        for name in a.files:
            if name.startswith("weights/"):
                assert np.abs(a[name] - b[name]).mean() < WEIGHTS, name


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], pathlib.Path]:
    """A deep Bayes classifier and one with dropout, trained on one device and on two."""
    runs, folder = {}, tmp_path_factory.mktemp("runs")
    for model, own in (("DBX", [*TRAIN, *DIM_Z, "--kl_warm_up", 5]), ("BNN", TRAIN)):
        for count in (1, 2):
            runs[model, count] = out = folder / f"{model}{count}"
            flags = [*own, "--batch_size", 7, "--epochs", 2, "--devices", count, "--out", out]
            assert not succeed(folder, "train/vae.py", model, *flags)
    return runs


@pytest.mark.parametrize("model", ["DBX", "BNN"])
def test_two_devices_train_as_one_does(
    model: str, runs: dict[tuple[str, int], pathlib.Path]
) -> None:
    """With batches of 7 images one device has 3 of them and the other 4."""
    assert_same_weights(runs[model, 1], runs[model, 2])
    histories = [read_history(runs[model, count])[-1] for count in (1, 2)]
    for name, value in histories[0].items():
        if name != "seconds":
            assert float(histories[1][name]) == pytest.approx(float(value), rel=1e-4, abs=2e-3)


def test_two_devices_attack_as_one_does(runs: dict[tuple[str, int], pathlib.Path]) -> None:
    flags = ["--data", "mnist_5k", "--attack", "pgd", "--nb_iter", 2, "--num_images", 12]
    flags += ["--victim", runs["DBX", 1], "--batch_size", 4, "--eval_draws", 1]
    found = {}
    for count in (1, 2):
        own = ["--devices", count, "--name", f"on{count}"]
        succeed(runs["DBX", 1], "attack/attack.py", *flags, *own)
        folder = runs["DBX", 1] / "attacks"
        with np.load(folder / f"on{count}_eps0.10.npz") as file:
            figures = read_json(folder / f"on{count}_eps0.10.json")["figures"]
            found[count] = file["adversarial"], {**figures, "seconds": 0}
    np.testing.assert_array_equal(found[1][0], found[2][0])
    assert found[1][1] == found[2][1]


def cluster(index: int, ports: tuple[int, int]) -> str:
    workers = [f"localhost:{port}" for port in ports]
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": workers}, "task": task})


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("localhost", 0))
        two.bind(("localhost", 0))
        return one.getsockname()[1], two.getsockname()[1]


def start_cluster(folder: pathlib.Path, name: str, *flags: object) -> list[BaseProcess]:
    """Two machines that train; what they write to stderr is in <name>0 and <name>1."""
    ports, own = free_ports(), app_environment(str(folder))
    return [
        start_app(
            "train/vae.py",
            ["DBX", *TRAIN, *DIM_Z, "--batch_size", 8, "--resume", *flags],
            folder,
            folder / "stdout",
            folder / f"{name}{index}",
            {**own, "TF_CONFIG": cluster(index, ports)},
        )
        for index in (0, 1)
    ]


def ended(process: BaseProcess) -> int | None:
    """Its exit status; None when it has not ended after some minutes."""
    process.join(600.0)
    return process.exitcode


def test_a_killed_machine_comes_back_and_training_ends_as_on_one(tmp_path: pathlib.Path) -> None:
    out = ["--out", tmp_path / "two", "--epochs"]
    chief, other = start_cluster(tmp_path, "before", *out, 100_000)
    checkpoint = tmp_path / "two" / "checkpoint.npz"
    while not checkpoint.is_file() and chief.is_alive() and other.is_alive():
        time.sleep(0.05)
    other.kill()
    errors = tmp_path / "before0"
    assert (ended(other), ended(chief)) == (-signal.SIGKILL, 1), errors.read_text()
    (line,) = (line for line in errors.read_text().splitlines() if line.startswith("stopped: "))
    assert "another machine of the training does not answer" in line and "--resume" in line
    with np.load(checkpoint) as file:
        epochs = int(file["epoch"]) + 2
    again = start_cluster(tmp_path, "after", *out, epochs)
    assert [ended(process) for process in again] == [0, 0], (tmp_path / "after0").read_text()
    flags = [*TRAIN, *DIM_Z, "--batch_size", 8, "--epochs", epochs, "--out", tmp_path / "one"]
    succeed(tmp_path, "train/vae.py", "DBX", *flags)
    assert_same_weights(tmp_path / "one", tmp_path / "two")
    rows = read_history(tmp_path / "two")
    assert [int(row["epoch"]) for row in rows] == list(range(1, epochs + 1))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_tf_config_that_is_not_understood_is_one_line(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=r"TF_CONFIG is not understood .*: expected"):
        strategies.training_strategy()


def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    two = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}'
    with pytest.raises(InputError, match="devices must be a whole number of at least 1, got 0"):
        devices.local_devices(0)
    monkeypatch.setenv("TF_CONFIG", two)
    with pytest.raises(InputError, match=r"TF_CONFIG names several machines.* leave out --devices"):
        strategies.training_strategy(2)
    with pytest.raises(InputError, match=r"asked for 9 devices, .* a CPU is cut into at most 8"):
        devices.local_devices(9)
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: ["GPU:0"])
    with pytest.raises(InputError, match="asked for 2 devices, TensorFlow sees 1 GPUs"):
        devices.local_devices(2)
    with pytest.raises(InputError, match="batch size 3 is less than the 4 devices"):
        TrainingSettings(batch_size=3).check_devices(4)


def test_several_gpus_are_all_used_unless_fewer_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: ["a", "b", "c"])
    assert devices.local_devices(None) == ["/GPU:0", "/GPU:1", "/GPU:2"]
    assert devices.local_devices(2) == ["/GPU:0", "/GPU:1"]
    assert devices.local_devices(1) == [""]


def test_batches_are_spread_over_idle_workers_and_come_in_order() -> None:
    busy: set[int] = set()

    def call(worker: int, index: int) -> int:
        assert worker not in busy
        busy.add(worker)
        time.sleep(0.01 if index % 2 else 0.002)
        busy.remove(worker)
        return index

    assert list(spread(call, 9, 3)) == list(range(9))


def test_no_batch_is_begun_after_one_that_failed() -> None:
    begun = []

    def call(worker: int, index: int) -> None:
        begun.append(index)
        if index == 0:
            raise ValueError("stop")
        time.sleep(1)  # long after the error

    with pytest.raises(ValueError, match="stop"):
        list(spread(call, 1000, 2))
    assert set(begun) <= {0, 1}
