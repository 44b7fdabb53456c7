"""The attack app on a run: adaptive attacks, and an attack that is killed and goes on."""

import json
import pathlib
import shutil
import time

import numpy as np
import pytest

from tests.cli.conftest import untrained_runs
from tests.conftest import App
from tests.forked_app import start_app
from tf_deepbayes.runs.run import Run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of runs with a small GBZ and a substitute."""
    return untrained_runs(tmp_path_factory.mktemp("runs"), "GBZ", "MLP")


def common(runs: pathlib.Path, attack: str, count: int) -> list[object]:
    named = ["--victim", "bayes_K2_F", "--data", runs / "digits.npz", "--runs", runs]
    return [*named, "--attack", attack, "--num_images", count, "--eval_draws", 2]


def test_superwhite_with_a_detector_and_the_published_flags(runs: pathlib.Path, app: App) -> None:
    flags = ["--detector", "logit", "--snapshot", "--lbd", 0.2, "--num_train", 200, "--nb_iter", 2]
    done = app("attack/attack.py", *common(runs, "superwhite", 4), *flags)
    assert done.returncode == 0, done.stderr
    folder = runs / "digits" / "GBZ" / "attacks"
    result = json.loads(
        (folder / "superwhite_nb_iter2_snapshot_K2_n4_eps0.10_lambda0.2.json").read_text()
    )
    assert result["settings"]["attack"]["snapshot"] is True
    assert result["figures"]["perturbation"]["linf"]["max"] <= 0.1 + 1e-6
    assert not list(folder.glob("*.partial"))


def test_images_that_were_not_saved_are_made_when_they_are_asked_for(
    runs: pathlib.Path, app: App
) -> None:
    flags = [*common(runs, "fgsm", 4), "--name", "late", "--resume"]
    images = runs / "digits" / "GBZ" / "attacks" / "late_eps0.10.npz"
    for save in ("--nosave", "--save"):
        done = app("attack/attack.py", *flags, save)
        assert done.returncode == 0, done.stderr
        with np.load(images) as arrays:
            assert ("adversarial" in arrays) == (save == "--save")


def test_an_attack_through_a_substitute_says_how_far_that_falls(
    runs: pathlib.Path, app: App
) -> None:
    folder = runs / "digits"
    flags = ["--substitute", folder / "MLP", "--name", "moved", "--eps", 0.3, "--save"]
    done = app("attack/attack.py", *common(runs, "fgsm", 10), *flags)
    assert done.returncode == 0, done.stderr
    figures = json.loads((folder / "GBZ/attacks/moved_eps0.30.json").read_text())["figures"]
    with np.load(folder / "GBZ/attacks/moved_eps0.30.npz") as saved:
        predicted = Run.load(folder / "MLP").model.logits(saved["adversarial"]).numpy().argmax(1)
        assert figures["substitute_accuracy"] == np.mean(predicted == saved["labels"])


def test_matching_and_the_label_alone(runs: pathlib.Path, app: App) -> None:
    done = app("attack/attack.py", *common(runs, "matching", 3), "--pool_size", 200, "--nb_iter", 2)
    assert done.returncode == 0, done.stderr
    flags = ["--label_only", "--attack_samples", 5, "--name", "label", "--nb_iter", 2]
    flags += ["--lazy_classes", 2, "--block_size", 20, "--noise", "antithetic"]
    done = app("attack/attack.py", *common(runs, "pgd", 3), *flags)
    assert done.returncode == 0, done.stderr
    settings = json.loads((runs / "digits" / "GBZ" / "attacks" / "label_eps0.10.json").read_text())[
        "settings"
    ]
    assert settings["label_only"] is True and settings["attack_samples"] == 5
    assert settings["noise"] == "antithetic"


def test_a_killed_attack_goes_on_to_the_same_images(
    runs: pathlib.Path, app: App, tmp_path: pathlib.Path
) -> None:
    flags = [*common(runs, "pgd", 12), "--batch_size", 2, "--nb_iter", 200]
    folder = runs / "digits" / "GBZ" / "attacks"
    whole = app("attack/attack.py", *flags, "--name", "whole")
    assert whole.returncode == 0, whole.stderr
    killed, out = [*flags, "--name", "killed"], tmp_path / "out"
    process = start_app("attack/attack.py", killed, tmp_path, out, out, {})
    partial, deadline = folder / "killed_eps0.10.partial", time.monotonic() + 120
    while not list(partial.glob("batch_*.npz")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.join()
    assert 1 <= len(list(partial.glob("batch_*.npz"))) < 6
    refused = app("attack/attack.py", *flags, "--name", "killed")
    assert refused.returncode == 2 and "pass --resume" in refused.stderr
    done = app("attack/attack.py", *flags, "--name", "killed", "--resume")
    assert done.returncode == 0, done.stderr
    assert not partial.exists()
    with (
        np.load(folder / "whole_eps0.10.npz") as expected,
        np.load(folder / "killed_eps0.10.npz") as found,
    ):
        np.testing.assert_array_equal(found["adversarial"], expected["adversarial"])


def test_early_stop_has_a_name_and_a_finished_attack_asks_the_classifier_nothing(
    runs: pathlib.Path, app: App, tmp_path: pathlib.Path
) -> None:
    own = shutil.copytree(runs, tmp_path / "own")
    flags = ["--early_stop", "--check_every", 1, "--nb_iter", 2, "--loss", "margin"]
    done = app("attack/attack.py", *common(own, "pgd", 4), *flags)
    assert done.returncode == 0, done.stderr
    folder = own / "digits" / "GBZ"
    result = json.loads(
        (
            folder / "attacks" / "pgd_margin_nb_iter2_early_stop_check_every1_K2_n4_eps0.10.json"
        ).read_text()
    )
    assert result["settings"]["early_stop"] == 1 and 1 <= result["figures"]["mean_steps"] <= 2
    again = app("attack/attack.py", *common(own, "pgd", 4), *flags, "--resume")
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    spoil(folder / "checkpoint.npz")
    stale = app("attack/attack.py", *common(own, "pgd", 4), *flags, "--resume")
    assert stale.returncode == 2 and "weights is " in stale.stderr
    other = app("attack/attack.py", *common(own, "pgd", 4), "--resume", "--nb_iter", 1)
    assert other.returncode == 2 and "logits are not finite" in other.stderr


def spoil(checkpoint: pathlib.Path) -> None:
    """Weights whose logits are not finite."""
    with np.load(checkpoint) as file:
        arrays = {n: np.full_like(a, 1e30) if a.dtype == np.float32 else a for n, a in file.items()}
    np.savez(checkpoint, **arrays)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--attack", "pgd", "--detector", "logit"], "detector does not apply to pgd"),
        (["--attack", "fgsm", "--lbd", 0.1], "detection_lambda does not apply to fgsm"),
        (["--attack", "pgd", "--check_every", 3], "--check_every needs --early_stop"),
        (["--attack", "mim", "--early_stop", "--common_random_numbers"], "noise changes with the"),
    ],
)
def test_flags_of_other_attacks_are_refused(flags: list, message: str, app: App) -> None:
    done = app("attack/attack.py", "--victim", "GFZ", *flags)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_a_result_is_never_replaced_by_one_of_other_settings(
    runs: pathlib.Path, app: App, tmp_path: pathlib.Path
) -> None:
    own = shutil.copytree(runs, tmp_path / "own")
    folder = own / "digits" / "GBZ" / "attacks"
    few = [*common(own, "fgsm", 3), "--name", "mine", "--eps", 0.1]
    assert app("attack/attack.py", *few).returncode == 0
    before = (folder / "mine_eps0.10.json").read_bytes()
    other = app("attack/attack.py", *few, "--seed", 1)
    assert other.returncode == 2 and len(other.stderr.splitlines()) == 1
    assert "seed is 0 there and 1 now" in other.stderr and "--overwrite" in other.stderr
    assert (folder / "mine_eps0.10.json").read_bytes() == before
    assert app("attack/attack.py", *few, "--seed", 1, "--overwrite").returncode == 0
    settings = json.loads((folder / "mine_eps0.10.json").read_text())["settings"]
    assert settings["seed"] == 1 and len(settings["weights"]) == len(settings["data"]) == 64


def test_every_setting_has_a_name_and_every_draw_an_outcome(
    runs: pathlib.Path, app: App, tmp_path: pathlib.Path
) -> None:
    own = shutil.copytree(runs, tmp_path / "own")
    few = common(own, "fgsm", 3)
    for flags in (["--eps", "0.030,0.034,8/255"], ["--loss", "margin"], ["--norm", 2]):
        done = app("attack/attack.py", *few, *flags)
        assert done.returncode == 0, done.stderr
    folder = own / "digits" / "GBZ" / "attacks"
    names = ["eps0.03", "eps0.034", "eps0.03137254901960784", "margin", "norm2"]
    found = [path.stem for path in folder.glob("fgsm*.json")]
    expected = [f"fgsm_K2_n3_{n}" for n in names[:3]]
    expected += [f"fgsm_{n}_K2_n3_eps0.10" for n in names[3:]]
    assert sorted(found) == sorted(expected)
    with np.load(folder / "fgsm_K2_n3_eps0.034.npz") as saved:
        assert saved["predicted"].shape == (3, 2) and saved["clean_predicted"].shape == (3, 3)
        assert (saved["predicted"][:, 0] == saved["adversarial_logits"].argmax(1)).all()


def test_batches_of_other_weights_are_not_used(
    runs: pathlib.Path, app: App, tmp_path: pathlib.Path
) -> None:
    own = shutil.copytree(runs, tmp_path / "own")
    flags = [*common(own, "pgd", 4), "--nb_iter", 2, "--batch_size", 2, "--name", "mine"]
    assert app("attack/attack.py", *flags).returncode == 0
    folder = own / "digits" / "GBZ" / "attacks"
    with np.load(folder / "mine_eps0.10.npz") as saved:
        expected = saved["adversarial"]
    partial = folder / "mine_eps0.10.partial"
    partial.mkdir()
    # Batches without a record of their settings, such as an earlier version may leave.
    for number in range(2):
        np.savez(partial / f"batch_{number:05d}.npz", adversarial=0 * expected[:2], digest="0")
    assert app("attack/attack.py", *flags, "--overwrite").returncode == 0
    with np.load(folder / "mine_eps0.10.npz") as saved:
        np.testing.assert_array_equal(saved["adversarial"], expected)


def test_the_settings_of_the_text_are_defaults_that_flags_override(
    runs: pathlib.Path, app: App
) -> None:
    folder = runs / "digits" / "GBZ" / "attacks"
    short = ["--settings", "text", "--nb_iter", 1]
    done = app("attack/attack.py", *common(runs, "cw", 2), *short, "--eps", "10,1000")
    assert done.returncode == 0, done.stderr
    names = ["cw_nb_iter1_K2_n2_c10.00_lr0.010", "cw_nb_iter1_K2_n2_c1000.00_lr0.100"]
    found = [json.loads((folder / f"{name}.json").read_text())["settings"] for name in names]
    assert [settings["attack"]["learning_rate"] for settings in found] == [0.01, 0.1]
    same = ["--nb_iter", 1, "--eps", 1000, "--learning_rate", 0.1, "--resume"]
    written = (folder / f"{names[1]}.json").stat().st_mtime_ns
    done = app("attack/attack.py", *common(runs, "cw", 2), *same)
    assert done.returncode == 0, done.stderr
    assert (folder / f"{names[1]}.json").stat().st_mtime_ns == written
    flags = [*short, "--spsa_samples", 4, "--stop_above", 50]
    done = app("attack/attack.py", *common(runs, "spsa", 2), *flags)
    assert done.returncode == 0, done.stderr
    name = "spsa_nb_iter1_spsa_samples4_stop_above50_K2_n2_eps0.10.json"
    assert json.loads((folder / name).read_text())["settings"]["attack"]["stop_above"] == 50.0
    done = app("attack/attack.py", *common(runs, "square", 2), "--settings", "text")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "the paper has no attack square, only fgsm, pgd, mim, cw" in done.stderr
