"""detect/detect.py, run as a user runs it, on small untrained classifiers."""

import json
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import untrained_runs
from tests.small import images
from tf_deepbayes.core import files
from tf_deepbayes.evaluation.saved_attacks import ATTACK_ARRAYS
from tf_deepbayes.runs.detector_files import read_detectors

App = Callable[..., "subprocess.CompletedProcess[str]"]
DETECT = "detect/detect.py"
FIT = ["--num_train", 200, "--num_clean", 30]
FITTED = "thresholds_published_fpr5_K2_n200_seed0.json"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of runs with a GBY and a DBX, and a saved attack on the GBY."""
    folder = untrained_runs(tmp_path_factory.mktemp("runs"), "GBY", "DBX")
    arrays: dict[str, Any] = dict.fromkeys(ATTACK_ARRAYS, np.arange(20) % 10)
    logits = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)
    arrays |= {"adversarial": images(20), "clean_logits": logits, "adversarial_logits": logits}
    path = folder / "digits" / "GBY" / "attacks" / "fgsm_eps0.10.npz"
    files.write_atomically(path, lambda file: np.savez(file, **arrays))
    return folder


@pytest.fixture
def detect(runs: pathlib.Path, app: App) -> App:
    """The app on the GBY with two samples."""
    on = ["--victim", "bayes_K2_G", "--data", runs / "digits.npz", "--runs", runs]
    return lambda *flags: app(DETECT, *on, *flags)


def test_thresholds_are_fitted_once_and_read_again(runs: pathlib.Path, detect: App) -> None:
    folder = runs / "digits" / "GBY" / "detection"
    done = detect(*FIT, "--plot")
    assert done.returncode == 0, done.stderr
    assert str(folder / FITTED) in done.stdout and "AUROC" in done.stdout
    result = json.loads((folder / "fgsm_eps0.10.json").read_text())
    assert [row["detector"] for row in result["figures"]] == ["marginal", "logit", "kl", "tv"]
    assert result["settings"]["fitted"]["num_train"] == 200
    assert (folder / "fgsm_eps0.10.png").read_bytes().startswith(b"\x89PNG")
    assert list(read_detectors(folder / FITTED)) == ["marginal", "logit", "kl", "tv"]

    before = (folder / FITTED).read_bytes()
    again = ["--thresholds", folder / FITTED, "--num_clean", 30, "--detectors", "tv,marginal"]
    done = detect(*again)
    assert done.returncode == 0, done.stderr
    assert "fitting" not in done.stdout and (folder / FITTED).read_bytes() == before
    other = detect(*again, "--noise", "shared")
    assert other.returncode == 2 and len(other.stderr.splitlines()) == 1
    assert "fitted with noise independent and the guard has shared" in other.stderr
    read = json.loads((folder / "fgsm_eps0.10.json").read_text())
    assert read["figures"] == result["figures"]
    assert read["settings"]["fitted"] == result["settings"]["fitted"]


def test_other_thresholds_leave_the_result_of_the_published_ones(
    runs: pathlib.Path, detect: App
) -> None:
    folder = runs / "digits" / "GBY" / "detection"
    folder.mkdir(exist_ok=True)
    published = folder / "fgsm_eps0.10.json"
    published.write_text("not touched")
    done = detect(*FIT, "--threshold", "quantile", "--false_positive_rate", 10)
    assert done.returncode == 0, done.stderr
    assert published.read_text() == "not touched"
    result = json.loads((folder / "fgsm_eps0.10_quantile_fpr10.json").read_text())
    assert result["settings"]["fitted"]["threshold"] == "quantile"
    assert result["settings"]["fitted"]["false_positive_rate"] == pytest.approx(0.1)


def test_a_guard_without_p_x(runs: pathlib.Path, detect: App) -> None:
    done = detect(*FIT, "--guard", "DBX")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("DBX has no p(x): the marginal and logit detectors are left out")
    path = runs / "digits" / "GBY" / "detection" / "fgsm_eps0.10_guard_DBX.json"
    rows = json.loads(path.read_text())["figures"]
    assert [row["detector"] for row in rows] == ["kl", "tv"]
    fooled = rows[0]["transferred"]["successful_attacks"]
    with np.load(path.with_suffix(".npz")) as outcomes:
        assert np.sum(outcomes["guard_predicted"] != outcomes["labels"]) == fooled > 0
    path.with_suffix(".npz").unlink()  # as after earlier versions, which wrote fewer arrays
    before = path.read_bytes()
    done = detect(*FIT, "--guard", "DBX", "--resume")
    assert done.returncode == 0 and path.with_suffix(".npz").is_file(), done.stderr
    assert json.loads(path.read_bytes())["figures"] == json.loads(before)["figures"]
    fitted = sorted((runs / "digits" / "DBX" / "detection").iterdir())
    assert list(read_detectors(fitted[0])) == ["kl", "tv"]
    of_dbx = ["--thresholds", fitted[0], "--num_samples", 10]
    done = detect(*of_dbx)
    assert done.returncode == 2 and "and the guard has" in done.stderr
    assert len(done.stderr.splitlines()) == 1


BAD: list[tuple[list[object], str]] = [
    ([*FIT, "--guard", "DBX", "--detectors", "kl,marginal"], "need p(x)"),
    (["--thresholds", "absent.json", "--num_train", 100], "--num_train and --thresholds"),
    (["--false_positive_rate", 100], "must be in (0, 100) percent"),
]


@pytest.mark.parametrize(("flags", "message"), BAD)
def test_bad_input_is_one_line_and_status_2(
    flags: list[object], message: str, detect: App, runs: pathlib.Path
) -> None:
    before = sorted(runs.rglob("*"))
    done = detect(*flags)
    lines = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]
    assert sorted(runs.rglob("*")) == before


def test_one_fit_serves_several_attacks_with_the_figures_of_single_calls(
    runs: pathlib.Path, detect: App
) -> None:
    folder = runs / "digits" / "GBY"
    for old in (folder / "detection").glob("*"):
        old.unlink()
    saved = folder / "attacks" / "fgsm_eps0.10.npz"
    names = ["fgsm_eps0.20", "fgsm_eps0.30"]
    for name in names:
        saved.with_name(f"{name}.npz").write_bytes(saved.read_bytes())
    done = detect(*FIT, "--fit_only")
    assert done.returncode == 0 and done.stdout.endswith("marginal, logit, kl, tv\n")
    fitted = (folder / "detection" / FITTED).read_bytes()
    assert not list((folder / "detection").glob("fgsm*"))
    done = detect(*FIT, "--attack", ",".join(names), "--overwrite")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fitting") == 1
    both = [json.loads((folder / "detection" / f"{n}.json").read_text())["figures"] for n in names]
    one = json.loads(fitted)["figures"]
    assert json.loads((folder / "detection" / FITTED).read_bytes())["figures"] == one
    known = ["--thresholds", folder / "detection" / FITTED, "--num_clean", 30]
    done = detect(*known, "--attack", names[1])
    assert done.returncode == 0, done.stderr
    again = json.loads((folder / "detection" / f"{names[1]}.json").read_text())["figures"]
    assert both[0] == both[1] == again
    with np.load(folder / "detection" / f"{names[0]}.npz") as outcomes:
        assert outcomes["rejected_kl"].shape == (20,) and outcomes["predicted"].shape == (20,)
