"""The table of the attacks that broke fusion models, made by one command."""

import json
import pathlib

import pytest

from tests.cli.commands.fusion.small_runs import SmallRuns
from tf_deepbayes.runs.adaptive import table

VICTIM = ["--victim", "runs/cifar10/GBZ_Z4_net_features", "--data", "cifar10", "--num_samples", 2]
FEW = ["--num_images", 12, "--batch_size", 12, "--num_train", 60]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SmallRuns:
    made = SmallRuns(tmp_path_factory.mktemp("fusion"))
    made.train()
    return made


def test_one_command_makes_the_table(runs: SmallRuns) -> None:
    command = ["attack/adaptive.py", *VICTIM, *FEW, "--check_every", 50, "--targets", "8,0"]
    out = runs(*command)
    names = list(table.published_rows(1, 1))
    rows = [line for line in out.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == names
    assert "0.978" in out and "0.118" in out and "layer features (|f| = 24" in out
    folder = runs.folder / str(VICTIM[1])
    content = json.loads((folder / "adaptive.json").read_text())
    figures = content["figures"]
    assert figures["head logit"]["eps"] == 4 / 255 and figures["noise"]["num_images"] == 12
    assert all(0 <= figures[name]["passed"] <= figures[name]["success"] for name in names)
    before = {path: path.read_bytes() for path in (folder / "attacks").iterdir()}
    assert runs(*command).splitlines()[-9:] == out.splitlines()[-9:]
    assert {path: path.read_bytes() for path in (folder / "attacks").iterdir()} == before


@pytest.mark.parametrize("attack", ["head_logit", "imitate_head", "imitate_features"])
def test_the_attacks_alone(runs: SmallRuns, attack: str) -> None:
    few = ["--num_images", 6, "--batch_size", 6, "--nb_iter", 3, "--eps", "8/255"]
    kept = (
        []
        if attack == "head_logit"
        else ["--detector", "kl", "--num_train", 60, "--targets", "0,1"]
    )
    out = runs("attack/attack.py", *VICTIM, *few, "--eval_draws", 1, "--attack", attack, *kept)
    assert "GBZ on cifar10" in out


def test_bad_input_is_one_line(runs: SmallRuns, tmp_path: pathlib.Path) -> None:
    line = runs.refused("attack/attack.py", *VICTIM, "--attack", "pgd", "--targets", "0,1")
    assert line == "error: targets does not apply to pgd; leave it out"
    imitate = ["attack/attack.py", *VICTIM, "--num_images", 6, "--attack", "imitate_head"]
    line = runs.refused(*imitate)
    assert "no attacked image of class 8 is classified right; attack more images or name" in line
    for given in ("0", "0,99", "a,b"):
        line = runs.refused(*imitate, "--targets", given)
        assert "targets must be two numbers of attacked images, 0 to 5" in line
    runs.train("GBY")
    victim = ["--victim", "runs/cifar10/GBY_Z4_net_features", "--data", "cifar10"]
    wanted = "GBY has no p(y|z) whose logits could be followed; choose GBZ or DBX"
    assert runs.refused("attack/adaptive.py", *victim) == f"error: {wanted}"
    line = runs.refused("attack/attack.py", *victim, "--attack", "head_logit")
    assert line == f"error: {wanted}"
