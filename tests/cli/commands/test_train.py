"""Training as a user does it: the networks of the paper's text through every command."""

import json
import pathlib

import numpy as np

from tests.cli.conftest import write_digits
from tests.conftest import App


def test_a_run_of_the_text_is_trained_attacked_detected_and_exported(
    app: App, tmp_path: pathlib.Path
) -> None:
    run, data = tmp_path / "runs" / "digits" / "GBZ_text", ["--data", write_digits(tmp_path)]
    flags = [*data, "--num_train", 50, "--architecture", "text", "--out", run]
    for epochs, resume in ((1, []), (2, ["--resume"])):
        done = app("train/vae.py", "F", *flags, "--epochs", epochs, *resume)
        assert done.returncode == 0, done
    assert json.loads((run / "config.json").read_text())["architecture"]["networks"] == "text"
    with np.load(run / "checkpoint.npz") as checkpoint:
        assert checkpoint["epoch"] == 2
    victim = ["--victim", "GBZ_text", *data, "--runs", tmp_path / "runs"]
    victim += ["--num_samples", 2]
    done = app("attack/attack.py", *victim, "--num_images", 4)
    assert done.returncode == 0 and (run / "attacks" / "fgsm_K2_n4_eps0.10.json").is_file(), done
    detect = [*victim, "--attack", "fgsm_K2_n4_eps0.10", "--num_train", 50]
    done = app("detect/detect.py", *detect)
    assert done.returncode == 0 and (run / "detection" / "fgsm_K2_n4_eps0.10.json").is_file(), done
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


def weights(run: pathlib.Path) -> str:
    return str(json.loads((run / "trained.json").read_text())["weights"])


def test_seeds_are_runs_of_their_own(app: App, tmp_path: pathlib.Path) -> None:
    runs, data = tmp_path / "runs" / "digits", ["--data", write_digits(tmp_path)]
    short = ["CNN", *data, "--num_train", 50, "--epochs", 1]
    short += ["--runs", tmp_path / "runs"]
    done = app("train/vae.py", *short, "--seeds", 2)
    assert done.returncode == 0 and done.stdout.splitlines()[-1].endswith("CNN_seed1"), done
    done = app("train/vae.py", *short, "--seed", 1, "--out", tmp_path / "alone")
    assert done.returncode == 0, done
    assert weights(runs / "CNN_seed1") == weights(tmp_path / "alone") != weights(runs / "CNN")
    victim = ["--victim", "CNN_seed1", *data, "--runs", tmp_path / "runs"]
    done = app("attack/attack.py", *victim, "--num_images", 2)
    assert done.returncode == 0 and (runs / "CNN_seed1" / "attacks").is_dir(), done
    done = app("train/vae.py", *short, "--seeds", 2, "--out", tmp_path / "both")
    assert done.returncode == 2 and "--out is the folder of one run" in done.stderr


def test_a_run_that_goes_on_in_another_folder_ends_as_one_that_was_not_interrupted(
    app: App, tmp_path: pathlib.Path
) -> None:
    short = ["CNN", "--data", write_digits(tmp_path), "--num_train", 50]
    first, second, whole = (tmp_path / name for name in ("first", "second", "whole"))
    for flags in (
        ["--epochs", 1, "--out", first],
        ["--epochs", 2, "--out", second, "--continue_from", first],
        ["--epochs", 2, "--out", whole],
    ):
        done = app("train/vae.py", *short, *flags)
        assert done.returncode == 0, done
    assert weights(second) == weights(whole) != weights(first)
    assert json.loads((first / "trained.json").read_text())["epochs"] == 1
    done = app("train/vae.py", *short, "--out", tmp_path / "x", "--continue_from", tmp_path / "no")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done
    done = app("train/vae.py", *short, "--continue_from", first)
    assert done.returncode == 2 and "give --out" in done.stderr
