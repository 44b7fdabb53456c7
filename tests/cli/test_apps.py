"""The apps, run as a user runs them: train, attack, detect; and what they say to bad input."""

import json
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.cli.conftest import write_digits
from tests.conftest import ROOT

App = Callable[..., "subprocess.CompletedProcess[str]"]
DIGITS = ["--data", "mnist_5k"]
SHORT = ["--num_train", 100, "--epochs", 2, "--dim_z", 8]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of runs with a GFZ and a DBX that were trained for a moment, and their data."""
    folder = tmp_path_factory.mktemp("runs")
    own = ["--data", write_digits(folder, train=500, test=60)]  # quick to validate on
    for model in ("A", "DBX"):
        name = "GFZ" if model == "A" else model
        out = folder / "digits" / name
        command = [sys.executable, ROOT / "train" / "vae.py", model, *own, *SHORT, "--out", out]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == str(out)
    return folder


def test_training_leaves_a_whole_run_folder(runs: pathlib.Path) -> None:
    folder = runs / "digits" / "GFZ"
    config = json.loads((folder / "config.json").read_text())
    assert config["model"] == "GFZ" and config["architecture"]["dim_z"] == 8
    assert config["training"]["batch_size"] == 50 and config["versions"]["tensorflow"]
    assert (folder / "history.csv").read_text().startswith("epoch,bound,")
    assert (folder / "checkpoint.npz").is_file()


def test_attack_and_detection_end_to_end(runs: pathlib.Path, app: App) -> None:
    common = ["--victim", "bayes_K2_A", "--data", runs / "digits.npz", "--runs", runs]
    done = app("attack/attack.py", *common, "--eps", "0,0.2", "--name", "fgsm", "--num_images", 30)
    assert done.returncode == 0, done.stderr
    folder = runs / "digits" / "GFZ" / "attacks"
    result = json.loads((folder / "fgsm_eps0.20.json").read_text())
    assert result["settings"]["num_samples"] == 2 and result["settings"]["eps"] == 0.2
    assert "--victim" in result["provenance"]["command"]
    assert {"success_rate", "accuracy", "zero_gradients", "perturbation"} <= set(result["figures"])
    with np.load(folder / "fgsm_eps0.20.npz") as saved:
        assert saved["adversarial"].shape == (30, 28, 28, 1)
    with (
        np.load(folder / "fgsm_eps0.00.npz") as clean,
        np.load(folder / "fgsm_eps0.20.npz") as saved,
    ):
        moved = np.abs(saved["adversarial"] - clean["adversarial"]).max()
        assert moved == pytest.approx(0.2, abs=1e-6)

    fit = ["--num_train", 300, "--num_clean", 50]
    done = app("detect/detect.py", *common, "--attack", "fgsm_eps0.20", *fit)
    assert done.returncode == 0, done.stderr
    rows = json.loads((folder.parent / "detection" / "fgsm_eps0.20.json").read_text())["figures"]
    assert [row["detector"] for row in rows] == ["marginal", "logit", "kl", "tv"]
    assert all(0 <= row["false_positive_rate"] <= 1 for row in rows)

    guard = ["--guard", "DBX", "--attack", "fgsm_eps0.20"]
    done = app("detect/detect.py", *common, *guard, *fit)
    assert done.returncode == 0, done.stderr
    assert "DBX has no p(x)" in done.stdout
    path = folder.parent / "detection" / "fgsm_eps0.20_guard_DBX.json"
    assert [row["detector"] for row in json.loads(path.read_text())["figures"]] == ["kl", "tv"]


def test_targeted_attack_is_saved_under_its_own_name(runs: pathlib.Path, app: App) -> None:
    common = ["--victim", "DBX", "--data", runs / "digits.npz", "--runs", runs, "--num_images", 3]
    done = app("attack/attack.py", *common, "--targeted", "--eps", 0.1, "--nosave")
    assert done.returncode == 0, done.stderr
    folder = runs / "digits" / "DBX" / "attacks"
    result = json.loads((folder / "fgsm_n3_eps0.10_targeted.json").read_text())
    assert result["figures"]["num_images"] == 27
    with np.load(folder / "fgsm_n3_eps0.10_targeted.npz") as saved:
        assert "adversarial" not in saved and saved["predicted"].shape == (27, 5)
    done = app("detect/detect.py", *common[:-2], "--attack", "fgsm_eps0.10_targeted")
    assert done.returncode == 2 and "run the attack with --save" in done.stderr


def test_a_killed_run_resumes_to_the_same_weights(tmp_path: pathlib.Path, app: App) -> None:
    data = write_digits(tmp_path, train=400)
    long = ["--data", data, "--epochs", 4, "--dim_z", 4]
    assert app("train/vae.py", "DBX", *long, "--out", tmp_path / "whole").returncode == 0
    command = [sys.executable, ROOT / "train" / "vae.py", "DBX", *long, "--out", tmp_path / "cut"]
    process = subprocess.Popen(
        [str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "cut" / "checkpoint.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = app("train/vae.py", "DBX", *long, "--out", tmp_path / "cut", "--resume")
    assert done.returncode == 0, done.stderr
    with (
        np.load(tmp_path / "whole" / "checkpoint.npz") as whole,
        np.load(tmp_path / "cut" / "checkpoint.npz") as cut,
    ):
        assert whole["epoch"] == cut["epoch"] == 4
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], cut[name])


def test_help_has_every_flag(app: App) -> None:
    """Those that several apps share are defined elsewhere."""
    shown = app("attack/attack.py", "--help").stdout
    for flag in ("--victim:", "--[no]targeted:", "--[no]jit_compile:", "--devices:"):
        assert flag in shown


TRAIN, ATTACK, DETECT = "train/vae.py", "attack/attack.py", "detect/detect.py"
BAD = [
    (TRAIN, ["H"], "unknown model 'H'; choose one of GFZ"),
    (TRAIN, [], "expected one argument, the model"),
    (TRAIN, ["GFZ", "--data", "imagenet"], "no data 'imagenet': expected an .npz file"),
    (TRAIN, ["GFZ", "--epochs", "many"], "--epochs"),
    (TRAIN, ["GFZ", *DIGITS, *SHORT, "--num_samples", 0], "num_samples must be a whole number"),
    (TRAIN, ["GFZ", *DIGITS, *SHORT, "--likelihood", "l3"], "unknown likelihood 'l3'"),
    (ATTACK, ["--victim", "nowhere", "--data", "mnist_5k"], "no run 'nowhere'"),
    (ATTACK, ["--victim", "GFZ", "--data", "mnist_5k", "--runs", "absent"], "is not a run folder"),
    (ATTACK, ["--victim", "GFZ", "--eps", "-0.1"], "eps must be a finite number of at least 0"),
    (
        ATTACK,
        ["--victim", "GFZ", "--attack", "pgdd"],
        "unknown attack 'pgdd'; choose one of fgsm, pgd, mim",
    ),
    (ATTACK, ["--victim", "GFZ", "--nb_iter", 5], "nb_iter does not apply to fgsm"),
    (ATTACK, ["--victim", "GFZ", "--num_samples", 0], "num_samples must be a whole number"),
    (ATTACK, [], "expected --victim"),
    (DETECT, ["--victim", "GFZ", "--threshold", "median"], "--threshold"),
    (DETECT, ["--victim", "GFZ", "--data", "mnist_5k", "--runs", "absent"], "is not a run folder"),
]


@pytest.mark.parametrize(("script", "arguments", "message"), BAD)
def test_bad_input_is_one_line_and_status_2_and_writes_nothing(
    script: str, arguments: list, message: str, app: App, tmp_path: pathlib.Path
) -> None:
    out = ["--out", tmp_path / "run"] if script == TRAIN else []
    done = app(script, *arguments, *out)
    lines = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]
    assert not list(tmp_path.iterdir())


def test_a_run_folder_is_not_overwritten(runs: pathlib.Path, app: App) -> None:
    folder = runs / "digits" / "GFZ"
    before = (folder / "checkpoint.npz").read_bytes()
    again = ["train/vae.py", "GFZ", "--data", runs / "digits.npz", *SHORT, "--out", folder]
    done = app(*again)
    assert done.returncode == 2 and "pass --resume" in done.stderr
    done = app(*again, "--resume", "--batch_size", 10)
    assert done.returncode == 2 and "repeat the flags of the run" in done.stderr
    assert "batch_size is 50 in the run and 10 in the flags;" in done.stderr
    assert (folder / "checkpoint.npz").read_bytes() == before


def test_damaged_checkpoint_and_saved_attack_are_refused(runs: pathlib.Path, app: App) -> None:
    folder = runs / "digits" / "DBX"
    (folder / "attacks").mkdir(exist_ok=True)
    (folder / "attacks" / "fgsm_eps0.30.npz").write_bytes(b"PK\x03\x04 half")
    common = ["--victim", folder, "--data", runs / "digits.npz"]
    done = app("detect/detect.py", *common, "--attack", "fgsm_eps0.30", "--num_train", 100)
    assert done.returncode == 2 and "fgsm_eps0.30.npz is damaged" in done.stderr
    path = folder / "checkpoint.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = app("attack/attack.py", *common)
    path.write_bytes(whole)
    assert done.returncode == 2 and "checkpoint.npz is damaged" in done.stderr
