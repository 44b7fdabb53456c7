"""Training as a user does it: the networks of the paper's text through every command."""

import json
import pathlib

import numpy as np

from tests.conftest import App


def test_a_run_of_the_text_is_trained_attacked_detected_and_exported(
    app: App, tmp_path: pathlib.Path
) -> None:
    run = tmp_path / "runs" / "mnist_5k" / "GBZ_text"
    flags = ["--data", "mnist_5k", "--num_train", 50, "--architecture", "text", "--out", run]
    for epochs, resume in ((1, []), (2, ["--resume"])):
        done = app("train/vae.py", "F", *flags, "--epochs", epochs, *resume)
        assert done.returncode == 0, done
    assert json.loads((run / "config.json").read_text())["architecture"]["networks"] == "text"
    with np.load(run / "checkpoint.npz") as checkpoint:
        assert checkpoint["epoch"] == 2
    victim = ["--victim", "GBZ_text", "--data", "mnist_5k", "--runs", tmp_path / "runs"]
    done = app("attack/attack.py", *victim, "--num_images", 4)
    assert done.returncode == 0 and (run / "attacks" / "fgsm_n4_eps0.10.json").is_file(), done
    detect = [*victim, "--attack", "fgsm_n4_eps0.10", "--num_train", 100]
    done = app("detect/detect.py", *detect)
    assert done.returncode == 0 and (run / "detection" / "fgsm_n4_eps0.10.json").is_file(), done
    done = app("train/export.py", run, "--out", tmp_path / "served", "--num_samples", 2)
    assert done.returncode == 0 and (tmp_path / "served" / "saved_model.pb").is_file(), done
    done = app("train/export_checkpoint.py", run, "--out", tmp_path / "checkpoint_0.pkl")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done
    assert "has the networks of the paper's text" in done.stderr


def test_other_networks_are_refused(app: App, tmp_path: pathlib.Path) -> None:
    done = app("train/vae.py", "MLP", "--data", "mnist_5k", "--architecture", "text")
    message = "error: --architecture does not apply to MLP, it has no convolutions; leave it out"
    assert done.returncode == 2 and done.stderr.splitlines() == [message]
    assert not (tmp_path / "runs").exists()
