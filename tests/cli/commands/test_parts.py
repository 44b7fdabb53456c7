"""--part and --merge: results divided among processes equal the undivided ones bit for bit."""

import json
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import untrained_runs
from tf_deepbayes.core.files import digest, read_arrays

App = Callable[..., "subprocess.CompletedProcess[str]"]
ATTACK, EVALUATE, DETECT = "attack/attack.py", "attack/evaluate.py", "detect/detect.py"
# Nine images in batches of two: five batches, the last one short.
SIZES = ["--num_images", 9, "--batch_size", 2, "--eval_draws", 2, "--image_order", "random"]
PGD = [*SIZES, "--attack", "pgd", "--nb_iter", 2, "--name", "pgd", "--eps"]
QUICK = [*SIZES, "--budget", "quick", "--check_images", 3, "--name", "quick"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of runs with a small GBZ."""
    return untrained_runs(tmp_path_factory.mktemp("runs"), "GBZ")


@pytest.fixture
def run(trained: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The run folder of a GBZ without results."""
    shutil.copytree(trained, tmp_path / "runs")
    return tmp_path / "runs" / "digits" / "GBZ"


def victim(run: pathlib.Path) -> list[object]:
    return ["--victim", run, "--data", run.parents[1] / "digits.npz", "--num_samples", 2]


@pytest.fixture
def on(run: pathlib.Path, app: App) -> App:
    """A command on that run with two samples, which has to work."""

    def call(script: str, *flags: object) -> "subprocess.CompletedProcess[str]":
        done = app(script, *victim(run), *flags)
        assert done.returncode == 0, done.stderr
        return done

    return call


def contents(folder: pathlib.Path, name: str) -> tuple[Any, Mapping[str, str]]:
    """(a result without its seconds, the digest of each of its arrays)."""
    text = (folder / f"{name}.json").read_text()
    result = json.loads(text, object_hook=lambda o: {k: v for k, v in o.items() if k != "seconds"})
    del result["provenance"]
    arrays = read_arrays(folder / f"{name}.npz", "")
    return result, {key: digest(value) for key, value in arrays.items()}


def test_an_attack_in_parts_is_the_whole_attack(run: pathlib.Path, on: App) -> None:
    folder = run / "attacks"
    on(ATTACK, *PGD, "0.1")
    whole = contents(folder, "pgd_eps0.10")
    assert whole[0]["figures"]["num_images"] == 9
    shutil.rmtree(folder)
    for number in (2, 1):
        said = on(ATTACK, *PGD, "0.1", "--part", f"{number}/2").stdout
        assert f"part {number}/2 of pgd_eps0.10" in said and not list(folder.glob("*.json"))
    on(ATTACK, *PGD, "0.1", "--merge")
    assert contents(folder, "pgd_eps0.10") == whole
    assert [path.suffix for path in sorted(folder.iterdir())] == [".json", ".npz"]
    assert "the result is finished" in on(ATTACK, *PGD, "0.1", "--part", "1/2").stdout


def test_missing_and_foreign_parts_are_named(run: pathlib.Path, on: App, app: App) -> None:
    partial = run / "attacks" / "pgd_eps0.10.partial"
    on(ATTACK, *PGD, "0.1", "--part", "2/3")
    done = app(ATTACK, *victim(run), *PGD, "0.1", "--merge")
    assert done.returncode == 2
    assert f"{partial} lacks batches 0, 1, 4 of 5; run the missing parts" in done.stderr
    other = app(ATTACK, *victim(run), *PGD, "0.1", "--part", "1/3", "--eps_iter", "0.02")
    assert other.returncode == 2 and "cannot be resumed" in other.stderr
    on(ATTACK, *PGD, "0.1", "--part", "1/3")
    on(ATTACK, *PGD, "0.1", "--part", "3/3")
    arrays = dict(np.load(partial / "batch_00001.npz"))
    np.savez(partial / "batch_00001.npz", **arrays | {"digest": np.array("of other images")})
    done = app(ATTACK, *victim(run), *PGD, "0.1", "--merge")
    assert done.returncode == 2 and "batch 1 of 5 attack other images" in done.stderr
    both = app(ATTACK, *victim(run), *PGD, "0.1", "--merge", "--part", "1/3")
    assert both.returncode == 2 and "leave one out" in both.stderr
    for wrong in ("0/3", "4/3", "2", "a/b"):
        done = app(ATTACK, *victim(run), *PGD, "0.1", "--part", wrong)
        assert done.returncode == 2 and "expected I/N with I from 1 to N" in done.stderr


def test_an_evaluation_in_parts_is_the_whole_evaluation(run: pathlib.Path, on: App) -> None:
    folder = run / "evaluation"
    on(EVALUATE, *QUICK)
    whole, worst = contents(folder, "quick"), contents_of_images(run)
    shutil.rmtree(folder)
    for number in (1, 2):
        assert f"part {number}/2 of quick" in on(EVALUATE, *QUICK, "--part", f"{number}/2").stdout
    on(EVALUATE, *QUICK, "--merge")
    assert contents(folder, "quick") == whole and contents_of_images(run) == worst
    assert [path.suffix for path in sorted(folder.iterdir())] == [".json", ".npz"]


def test_parts_are_of_the_attacks_asked_for(run: pathlib.Path, on: App) -> None:
    """`fgsm` is with its published settings; the budget's set has none of that name."""
    few = [*QUICK, "--attacks", "label_only,fgsm"]
    on(EVALUATE, *few, "--part", "1/1")
    kept = {path.name for path in (run / "evaluation" / "quick.partial").iterdir()}
    assert {"label_only", "fgsm"} <= kept
    assert not {"pgd_margin", "square"} & kept  # of the set; the checks have some, too
    on(EVALUATE, *few, "--merge")
    rows = json.loads((run / "evaluation" / "quick.json").read_text())["figures"]["components"]
    assert [row["name"] for row in rows] == ["label_only", "fgsm"]


def contents_of_images(run: pathlib.Path) -> Mapping[str, str]:
    arrays = read_arrays(run / "attacks" / "worst_case_quick.npz", "")
    return {key: digest(value) for key, value in arrays.items()}


def test_detection_in_parts_and_files_that_name_results(run: pathlib.Path, on: App) -> None:
    attacked, fitted = run / "attacks" / "pgd.done.json", run / "detection" / "fitted.json"
    on(ATTACK, *PGD, "0.1,0.2,0.3", "--done", attacked)
    named = json.loads(attacked.read_text())["results"]
    assert list(named) == [f"pgd_eps0.{i}0.json" for i in (1, 2, 3)]
    on(DETECT, "--fit_only", "--num_train", 100, "--done", fitted)
    flags = ["--attacked", attacked, "--thresholds", fitted, "--num_clean", 20]
    on(DETECT, *flags, "--done", run / "detection" / "all.json")
    names = [path.removesuffix(".json") for path in named]
    whole = [contents(run / "detection", name) for name in names]
    for name in names:
        (run / "detection" / f"{name}.json").unlink()
    on(DETECT, *flags, "--part", "1/2")
    assert [(run / "detection" / f"{n}.json").is_file() for n in names] == [True, True, False]
    on(DETECT, *flags, "--part", "2/2")
    on(DETECT, *flags, "--merge")
    assert [contents(run / "detection", name) for name in names] == whole


def test_a_changed_result_is_not_the_one_named(run: pathlib.Path, on: App, app: App) -> None:
    attacked = run / "attacks" / "pgd.done.json"
    on(ATTACK, *PGD, "0.1", "--done", attacked)
    with (run / "attacks" / "pgd_eps0.10.json").open("a") as file:
        file.write(" ")
    done = app(DETECT, *victim(run), "--attacked", attacked)
    assert done.returncode == 2 and "is not the result that" in done.stderr
    done = app(DETECT, *victim(run), "--attacked", run / "config.json")
    assert done.returncode == 2 and "names no results" in done.stderr


def test_the_first_images_of_the_random_order_are_nested(run: pathlib.Path, on: App) -> None:
    found = []
    for count in (4, 9):
        flags = ["--attack", "fgsm", "--num_images", count, "--image_order", "random"]
        on(ATTACK, *flags, "--eval_draws", 2)
        path = run / "attacks" / f"fgsm_K2_random_n{count}_eps0.10.npz"
        found.append(read_arrays(path, "")["indices"].tolist())
    assert found[0] == found[1][:4] and found[1] != sorted(found[1])
