"""The table of the attacks that broke fusion models, made by one command."""

import dataclasses
import json
import pathlib
import warnings
from typing import cast

import numpy as np
import pytest

from tests.cli.commands.fusion.small_runs import SmallRuns
from tests.exported import write_run
from tests.forked_app import run_app
from tests.small import images
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.splits import Split
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.reporting.adaptive_table import adaptive_table
from tf_deepbayes.runs.adaptive import table
from tf_deepbayes.runs.attacking.targets import targets_of
from tf_deepbayes.runs.run import Run

VICTIM = ["--victim", "runs/cifar10/GBZ_Z4_net_features", "--data", "cifar10", "--num_samples", 2]


def test_the_table_of_a_run(runs: SmallRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made twice: the second time from what is on disk. The attacks are cut short.

    PGD is there once: its other loss is another option.
    """
    rows = {
        name: dataclasses.replace(row, attack=dataclasses.replace(row.attack, nb_iter=2))  # type: ignore
        for name, row in table.published_rows(6, 1).items()
        if name != "full logits, log_odds"
    }
    monkeypatch.setattr(table, "published_rows", lambda *sizes: rows)
    folder, said = runs.folder / str(VICTIM[1]), list[str]()
    made = table.AdaptiveTable(
        lambda: Run.load(folder, Sampling(2)),
        *(6, 6, 60, 1, ["4", "0"]),
        data_dir=str(runs.folder / "data"),
        say=said.append,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures = made.rows()
        before = {path: path.read_bytes() for path in (folder / "attacks").iterdir()}
        assert made.rows() == figures
    assert {path: path.read_bytes() for path in (folder / "attacks").iterdir()} == before
    assert list(figures) == list(rows) and len(said) >= 2 * len(rows)
    assert figures["head logit"]["eps"] == 4 / 255 and figures["noise"]["num_images"] == 6
    assert all(0 <= row["passed"] <= row["success"] <= 1 for row in figures.values())
    for _ in range(2):  # the settings on disk are those of now
        path = made.write(figures)
    assert path == folder / "adaptive_K2_n6_num_train60_targets4_0.json"
    content = json.loads(path.read_text())
    assert content["settings"]["targets"] == ["4", "0"]
    assert content["kind"] == "adaptive" and content["figures"] == figures
    assert content["settings"]["epochs"] == 2 and content["settings"]["noise"] is None
    lines = adaptive_table("GBZ", content["settings"]["extractor"], figures).splitlines()
    assert "layer features (|f| = 24" in lines[0] and "| 0.978 |" in lines[-3]


@pytest.mark.parametrize("attack", ["head_logit", "imitate_features"])
def test_the_attacks_alone(runs: SmallRuns, attack: str) -> None:
    few = ["--num_images", 6, "--batch_size", 6, "--nb_iter", 3, "--eps", "8/255"]
    kept = (
        []
        if attack == "head_logit"
        else ["--detector", "kl", "--num_train", 60, "--targets", "0,1"]
    )
    out = runs("attack/attack.py", *VICTIM, *few, "--eval_draws", 1, "--attack", attack, *kept)
    assert "GBZ on cifar10" in out


def test_bad_input_is_one_line(runs: SmallRuns) -> None:
    line = runs.refused("attack/attack.py", *VICTIM, "--attack", "pgd", "--targets", "0,1")
    assert line == "error: targets does not apply to pgd; leave it out"
    imitate = ["attack/attack.py", *VICTIM, "--num_images", 6, "--attack", "imitate_head"]
    line = runs.refused(*imitate)
    assert "no attacked image of class 8 is classified right; attack more images or name" in line
    line = runs.refused(*imitate, "--targets", "0,99")
    assert "targets must be two numbers of attacked images, 0 to 5" in line


def test_a_model_without_a_head_is_one_line(runs: SmallRuns, tmp_path: pathlib.Path) -> None:
    write_run(tmp_path / "GBY", fitted=False)
    victim = ["--victim", tmp_path / "GBY", "--data", "mnist_5k"]
    wanted = "GBY has no p(y|z) whose logits could be followed; choose GFZ, GBZ or DBX"
    for command in (["attack/adaptive.py"], ["attack/attack.py", "--attack", "head_logit"]):
        done = run_app(command[0], [*command[1:], *victim], runs.folder)
        assert (done.returncode, done.stderr) == (2, f"error: {wanted}\n")


@pytest.mark.parametrize("given", [["0"], ["0", "99"], ["a", "b"]])
def test_targets_are_two_numbers(given: list[str]) -> None:
    attacked, victim = Split(images(6), np.arange(6) % 3), cast(Run, None)  # not asked
    with pytest.raises(InputError, match="targets must be two numbers of attacked images, 0 to 5"):
        targets_of(victim, attacked, given, 6)
