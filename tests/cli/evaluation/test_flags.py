"""An evaluation from the command line: l2, chosen attacks, the robustness taken apart."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.conftest import ROOT, App


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A DBX that was hardly trained, the quickest of the seven."""
    folder = tmp_path_factory.mktemp("runs") / "mnist_5k" / "DBX"
    train = [sys.executable, ROOT / "train" / "vae.py", "DBX", "--data", "mnist_5k"]
    small = ["--num_train", 100, "--epochs", 1, "--dim_z", 4, "--out", folder]
    subprocess.run([str(c) for c in train + small], check=True, capture_output=True)
    return folder


def evaluate(app: App, run: pathlib.Path, *flags: object) -> subprocess.CompletedProcess:
    common = ["--victim", run, "--data", "mnist_5k", "--num_samples", 2, "--eps", 0.2]
    few = ["--budget", "quick", "--num_images", 4, "--check_images", 2, "--batch_size", 4]
    return app("attack/evaluate.py", *common, *few, *flags)


def test_chosen_attacks_in_l2(run: pathlib.Path, app: App) -> None:
    done = evaluate(app, run, "--norm", 2, "--attacks", "pgd_margin,fgsm", "--eps", 1.5)
    assert done.returncode == 0, done.stderr
    name = "l2_eps1.50_quick_K2_n4_pgd_margin_fgsm.json"
    content = json.loads((run / "evaluation" / name).read_text())
    rows = content["figures"]["components"]
    assert [row["name"] for row in rows] == ["pgd_margin", "fgsm"]
    assert rows[0]["perturbation"]["l2"]["max"] == pytest.approx(1.5, abs=1e-4)
    assert content["settings"]["norm"] == 2.0 == rows[1]["attack"]["norm"]
    assert len(content["figures"]["worst_case"]["first_broken_by"]) == 4


def test_several_sizes_are_as_if_each_were_alone(run: pathlib.Path, app: App) -> None:
    attacks = ["--attacks", "pgd_log_odds_0,mim"]
    done = evaluate(app, run, *attacks, "--eps", ".1,.2", "--done", run / "both.json")
    assert done.returncode == 0, done.stderr
    names = [f"eps{eps}_quick_K2_n4_pgd_log_odds_0_mim.json" for eps in ("0.10", "0.20")]
    assert f"{names[0]}" in (run / "both.json").read_text()
    alone = evaluate(app, run, *attacks, "--eps", ".2", "--name", "alone")
    assert alone.returncode == 0, alone.stderr
    found = [json.loads((run / "evaluation" / n).read_text()) for n in (*names, "alone.json")]
    assert [one["settings"]["eps"] for one in found] == [0.1, 0.2, 0.2]
    worst = [one["figures"]["worst_case"] for one in found]
    assert worst[1] == worst[2] != worst[0]
    done = evaluate(app, run, *attacks, "--eps", ".1,.2", "--name", "both")
    assert done.returncode == 2 and "--name names one result" in done.stderr
    done = evaluate(app, run, *attacks, "--eps", ".1,1.2")
    assert done.returncode == 2 and "eps must be above 0 and up to 1, got 1.2" in done.stderr


def test_taken_apart(run: pathlib.Path, app: App) -> None:
    done = evaluate(app, run, "--decompose")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    cost = next(i for i, line in enumerate(lines) if line.startswith("all of it, at most"))
    first = next(i for i, line in enumerate(lines) if line.startswith("pgd_log_odds_0"))
    assert cost < first
    path = run / "evaluation" / "eps0.20_quick_K2_n4_decomposed.json"
    found = json.loads(path.read_text())["figures"]["decomposition"]
    parts = found["decomposition"]["parts"]
    assert sum(one["share"] for one in parts.values()) == pytest.approx(1.0)
    assert "known noise" in parts and found["noise"]["limit"] == "a mixture of K = 2"
    assert path.with_suffix(".png").stat().st_size > 5000
    page = path.with_suffix(".md").read_text()
    assert page.startswith("# Robustness taken apart, eps 0.2 (l∞)") and "| margin |" in page
    kept = sorted((run / "evaluation" / "finished_attacks").glob("*/batch_*.npz"))
    times = [one.stat().st_mtime_ns for one in kept]
    path.unlink()
    again = evaluate(app, run, "--decompose")
    assert again.returncode == 0, again.stderr
    assert [one.stat().st_mtime_ns for one in kept] == times  # nothing was computed twice
    repeated = json.loads(path.read_text())["figures"]["decomposition"]
    assert repeated["decomposition"] == found["decomposition"]
    few = evaluate(app, run, "--decompose", "--curves=false")
    assert few.returncode == 0 and "curve of" not in few.stdout, few.stderr
    assert [one.stat().st_mtime_ns for one in kept] == times
    path = path.with_stem(path.stem + "_no_curves")
    alone = json.loads(path.read_text())["figures"]["decomposition"]
    assert alone["decomposition"] == found["decomposition"]
    assert all(one["left_out"] for one in alone["curves"])
    assert "budget" in page and "budget" not in path.with_suffix(".md").read_text()


def test_a_divided_one_is_refused(run: pathlib.Path, app: App) -> None:
    done = evaluate(app, run, "--decompose", "--part", "1/2")
    assert done.returncode == 2 and "taking apart is not divided" in done.stderr
    done = evaluate(app, run, "--attacks", "pdg")
    assert done.returncode == 2 and "unknown attack 'pdg'" in done.stderr
