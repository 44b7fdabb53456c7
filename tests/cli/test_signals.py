"""Signals: SIGTERM keeps what is finished, Ctrl-C is silent, a second one ends at once."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.cli.conftest import DATA, RUN, fresh
from tests.conftest import ROOT
from tests.forked_app import run_app, start_app

PGD = ["--attack", "pgd", "--num_images", "24", "--batch_size", "2", "--nb_iter", "10"]
ATTACK = ["--victim", "DBX", *DATA, "--runs", "runs", "--num_samples", "2", *PGD]
# Epochs of four steps: so many that some are left when the signal comes after the first.
TRAIN = ["DBX", *DATA, "--epochs", "40", "--dim_z", "4", "--eval_every", "99", "--out", "new"]


def stopped(
    script: str, arguments: list[str], folder: pathlib.Path, begun: str, number: int
) -> str:
    """What an app says that gets a signal once files of this pattern are there; its status."""
    out, err = folder / "out", folder / "err"
    app = start_app(script, arguments, folder, out, err, {})
    try:
        deadline = time.monotonic() + 120
        while not list(folder.glob(begun)) and time.monotonic() < deadline:
            assert app.exitcode is None, err.read_text()
            time.sleep(0.005)
        os.kill(app.pid or 0, number)
        app.join(60)
        assert app.exitcode == 128 + number, err.read_text()
    finally:
        app.kill()  # where the signal had no effect; an app that has ended is left alone
    return err.read_text()


def arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of a file."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize(
    ("script", "arguments", "begun", "kept", "result"),
    [
        (
            "attack/attack.py",
            ATTACK,
            "runs/**/batch_00002.npz",
            "finished batches",
            "runs/*/*/attacks/pgd*.npz",
        ),
        ("train/vae.py", TRAIN, "new/checkpoint.npz", "the last whole epoch", "new/checkpoint.npz"),
    ],
)
def test_sigterm_keeps_what_is_finished_and_resume_goes_on(
    script: str, arguments: list[str], begun: str, kept: str, result: str,
    sound: pathlib.Path, folder: pathlib.Path,
) -> None:  # fmt: skip
    whole, cut = folder / "whole", folder / "cut"
    for place in (fresh(sound, whole), fresh(sound, cut)):
        shutil.rmtree(place / RUN / "attacks")
    assert run_app(script, arguments, whole).returncode == 0
    (line,) = stopped(script, arguments, cut, begun, signal.SIGTERM).splitlines()
    assert line.startswith("stopped: on request (SIGTERM); ") and kept in line
    assert line.endswith("; run the same command with --resume")
    assert not [path for path in cut.rglob(".*") if path.is_file()]
    done = run_app(script, [*arguments, "--resume"], cut)
    assert done.returncode == 0, done.stderr
    (one,), (other,) = whole.glob(result), cut.glob(result)
    for name, array in arrays(one).items():
        np.testing.assert_array_equal(array, arrays(other)[name])


def test_ctrl_c_is_silent(sound: pathlib.Path, folder: pathlib.Path) -> None:
    place = fresh(sound, folder)
    endless = [*TRAIN, "--epochs", "10000"]
    assert stopped("train/vae.py", endless, place, "new/checkpoint.npz", signal.SIGINT) == ""


SLEEPS = """
import time
from tf_deepbayes.core.progress import listen_for_signals, stopping_between_steps
listen_for_signals()
with stopping_between_steps():
    print("begun", flush=True)
    while True:
        time.sleep(1)
"""


def test_a_second_signal_ends_at_once() -> None:
    command = [sys.executable, "-c", SLEEPS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as app:
        assert app.stdout and app.stdout.readline() == "begun\n"
        app.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            app.wait(1.5)
        app.send_signal(signal.SIGTERM)
    assert app.returncode == 143


CHILD = """
import pathlib, sys
from tf_deepbayes.cli.process import orderly_end, run_script
from tf_deepbayes.core.progress import listen_for_signals
with orderly_end():
    listen_for_signals()
    run_script(pathlib.Path(sys.argv[1]), *sys.argv[2:])
"""


@pytest.mark.parametrize(("body", "status"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)])
def test_an_app_that_fails_ends_the_one_that_runs_it(
    body: str, status: int, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "app.py").write_text(f"import os, sys\n{body}\n")
    command = [sys.executable, "-c", CHILD, str(tmp_path / "app.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (status, "")


def test_a_request_to_stop_is_passed_on(tmp_path: pathlib.Path) -> None:
    (tmp_path / "app.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-c", CHILD, str(tmp_path / "app.py")]
    app = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert app.stdout and app.stdout.readline() == "begun\n"
    app.terminate()
    _, err = app.communicate(timeout=20)
    assert app.returncode == 143 and err.startswith("stopped: on request (SIGTERM); run the same")
