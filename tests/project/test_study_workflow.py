"""The study as a workflow: what its profiles ask for, and a tiny one killed and ended."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml

from reproduce.workflow.plan import DataPlan, flags_of, read_plan
from tests.conftest import ROOT, app_environment

PROFILES = sorted((ROOT / "reproduce" / "profiles").glob("*.yaml"))
TINY: dict[str, Any] = {
    "common": {"image_order": "random", "num_images": 4, "eval_draws": 2, "batch_size": 2},
    "data": {
        "mnist_5k": {
            "models": ["DFX", "CNN"],
            "epochs": 1,
            "train": {"num_train": 50},
            "attacks": {
                "pgd": {"eps": [0.1], "nb_iter": 2, "models": ["DFX"], "parts": 2},
                "fgsm": {"eps": [0.1], "models": ["CNN"]},
            },
            "detect": {"num_train": 30, "num_clean": 10},
            "transfer": ["pgd"],
        }
    },
}


def snakemake(folder: pathlib.Path, *arguments: str) -> list[str]:
    profile = ["--profile", str(ROOT / "reproduce" / "workflow" / "local")]
    given = ["--directory", str(folder), "--configfile", str(folder / "tiny.yaml")]
    snakefile = ["--snakefile", str(ROOT / "reproduce" / "Snakefile")]
    return [sys.executable, "-m", "snakemake", *snakefile, *profile, *given, *arguments]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return tmp_path


def environment(folder: pathlib.Path) -> dict[str, str]:
    path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return {**app_environment(str(folder / "keras")), "PYTHONPATH": path}


def run(folder: pathlib.Path, *arguments: str) -> str:
    """What it printed, after it ended well."""
    command = snakemake(folder, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, env=environment(folder))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_settings_become_flags() -> None:
    given: dict[str, Any] = {"eps": [0.1, 0.2], "save": False, "targeted": True, "name": "a b"}
    assert flags_of(given) == "--eps 0.1,0.2 --nosave --targeted --name 'a b'"


def test_rounds_seeds_and_who_detects_what() -> None:
    section: dict[str, Any] = TINY["data"]["mnist_5k"] | {"epochs": 25, "round": 10, "seeds": 2}
    plan = DataPlan("mnist_5k", section, {})
    assert plan.rounds == [10, 20, 25]
    assert [plan.before(epochs) for epochs in plan.rounds] == [None, 10, 20]
    assert plan.runs == ["DFX", "CNN", "DFX_seed1", "CNN_seed1"]
    assert plan.train_flags("CNN_seed1") == "CNN --data mnist_5k --seed 1 --num_train 50"
    assert dict(plan.guards_of("DFX")) == {"DFX": ["pgd"], "CNN": ["pgd"]}
    assert dict(plan.guards_of("DFX_seed1")) == {"DFX_seed1": ["pgd"]}
    assert dict(plan.guards_of("CNN")) == {"CNN": ["fgsm"]}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_profile_asks_for_commands_that_exist(path: pathlib.Path) -> None:
    """Attacks, their flags and their models are those of the product; sizes are positive."""
    from tf_deepbayes import attacks
    from tf_deepbayes.data.datasets import TASKS
    from tf_deepbayes.models.registry import check_name

    for data, plan in read_plan(yaml.safe_load(path.read_text())).items():
        assert data in TASKS and plan.epochs > 0
        assert [check_name(plan.train_flags(run).split()[0]) for run in plan.runs]
        for name in plan.settings["attacks"]:
            entry = plan.entry(name)
            assert entry.get("attack", name) in attacks.ATTACKS
            assert set(entry.get("models", [])) <= set(plan.settings["models"])
            assert {"--eps", "--num_images"} <= set(plan.attack_flags(name).split())
        assert set(plan.settings.get("transfer", [])) <= set(plan.settings["attacks"])
        for name in plan.evaluations():
            assert {"--eps", "--num_images"} <= set(plan.evaluate_flags(name).split())


def test_a_fusion_model_waits_for_its_network(folder: pathlib.Path) -> None:
    fusion = (ROOT / "reproduce" / "profiles" / "fusion.yaml").read_text()
    (folder / "tiny.yaml").write_text(fusion)
    plan = run(folder, "-n", "-p")
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", plan, re.M)}
    assert (jobs["extractor"], jobs["train"], jobs["adaptive"]) == (1, 9, 1)
    network = "--features runs/cifar10/VGG/extractor.keras --cache runs/cifar10/features"
    assert f"train GBZ --data cifar10 --seed 0 --layer mid {network} --epochs 100" in plan
    for model in (
        "GBY --data cifar10 --seed 0 --layer low",
        "DBX --data cifar10 --seed 0 --layer high",
    ):
        assert f"train {model} {network} --epochs 100" in plan
    assert "train-vgg --data cifar10 --width 0.25 --resume --out runs/cifar10/VGG" in plan
    assert "--victim GBZ_mid --num_images 1000 --check_every 10" in plan


def test_plane_against_frog_has_the_published_rounds(folder: pathlib.Path) -> None:
    """20 rounds of 10 epochs, and fewer of them for whoever has no day."""
    profile = yaml.safe_load((ROOT / "reproduce" / "profiles" / "plane_frog.yaml").read_text())
    plan = read_plan(profile)["plane_frog"]
    assert plan.rounds == list(range(10, 201, 10)) and len(plan.runs) == 7
    profile["data"]["plane_frog"]["epochs"] = 20
    (folder / "tiny.yaml").write_text(yaml.safe_dump(profile))
    printed = run(folder, "-n", "-p", "trained")
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", printed, re.M)}
    assert jobs["train"] == 14
    start = "--epochs 20 --resume --continue_from runs/epochs10/plane_frog/GFZ"
    assert f"train GFZ --data plane_frog --seed 0  {start}" in printed


def test_runs_of_the_zoo_are_not_trained(folder: pathlib.Path) -> None:
    """Nor are earlier rounds; a model that the zoo lacks, or has at other epochs, is trained."""
    section = {"models": ["GFZ", "MLP"], "epochs": 100, "round": 50}
    profile = {"zoo": True, "data": {"mnist": section}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(profile))
    printed = run(folder, "-n", "-p", "trained")
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", printed, re.M)}
    assert jobs["train"] == 3
    assert f"--epochs 100 --resume --continue_from {ROOT / 'zoo' / 'mnist' / 'GFZ'} " in printed
    assert "--epochs 100 --resume --continue_from runs/epochs50/mnist/MLP" in printed
    section["epochs"] = 20
    (folder / "tiny.yaml").write_text(yaml.safe_dump(profile))
    assert "--continue_from" not in run(folder, "-n", "-p", "trained")


def test_plane_against_frog_attacks_what_all_models_classify_rightly(folder: pathlib.Path) -> None:
    profile = yaml.safe_load((ROOT / "reproduce" / "profiles" / "plane_frog.yaml").read_text())
    section = profile["data"]["plane_frog"] | {"epochs": 10}
    section |= {"evaluations": {"quick": {"eps": 0.1, "budget": "quick"}}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"data": {"plane_frog": section}}))
    runs = [f"runs/epochs10/plane_frog/{model}" for model in section["models"]]
    printed = run(folder, "-n", "-p", f"{runs[0]}/attacks/fgsm.done.json")
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", printed, re.M)}
    assert (jobs["indices"], jobs["attack"]) == (7, 1)
    assert f"--indices {','.join(f'{one}/indices.json' for one in runs)} --resume" in printed
    assert "--data plane_frog  --victim GBY --overwrite --threads 1" in printed
    evaluated = run(folder, "-n", "-p", f"{runs[0]}/evaluation/quick.done.json")
    assert "--indices" not in evaluated


def test_an_evaluation_waits_for_the_detectors_that_it_uses(folder: pathlib.Path) -> None:
    section = TINY["data"]["mnist_5k"] | {"models": ["DFX"], "attacks": {}}
    section["evaluations"] = {"quick": {"eps": 0.1, "budget": "quick", "uses": ["fitted"]}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"data": {"mnist_5k": section}}))
    evaluation = "runs/epochs1/mnist_5k/DFX/evaluation/quick.done.json"
    plan = run(folder, "-n", "-p", evaluation)
    assert dict(re.findall(r"^(\w+) +(\d+)$", plan, re.M))["fit"] == "1"
    thresholds = "--thresholds runs/epochs1/mnist_5k/DFX/detection/fitted.json"
    assert f"--victim DFX --budget quick --eps 0.1 {thresholds} --resume" in plan


def test_a_tiny_study_that_is_killed_goes_on_to_its_report(folder: pathlib.Path) -> None:
    first = folder / "runs" / "epochs1" / "mnist_5k" / "CNN" / "trained.json"
    with (folder / "log").open("w") as log:
        started = subprocess.Popen(
            snakemake(folder),
            stdout=log,
            stderr=log,
            env=environment(folder),
            start_new_session=True,
        )
        deadline = time.monotonic() + 300
        while not first.is_file() and started.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    assert first.is_file(), (folder / "log").read_text()[-3000:]
    weights = json.loads(first.read_text())["weights"]
    run(folder, "--unlock")
    run(folder)
    assert json.loads(first.read_text())["weights"] == weights
    results = folder / "runs" / "epochs1" / "mnist_5k"
    assert json.loads((results / "DFX" / "trained.json").read_text())["epochs"] == 1
    names = {path.stem for path in (results / "DFX" / "attacks").glob("pgd_*.json")}
    assert names == {"pgd_nb_iter2_random_n4_eps0.10"}
    found = [path.name for path in (results / "DFX" / "detection").glob("pgd*.json")]
    assert len(found) == 2 and sum("guard_CNN" in name for name in found) == 1
    assert "DFX" in (folder / "report" / "index.html").read_text()
    assert "Nothing to be done" in run(folder)


@pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_kubernetes") is None,
    reason="the Kubernetes plug-in is not installed: pip install '.[cluster]'",
)
def test_the_kubernetes_profile_plans_all_jobs(folder: pathlib.Path) -> None:
    profile = ROOT / "reproduce" / "workflow" / "kubernetes"
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", run(folder, "-n", "--profile", str(profile)), re.M))
    assert (jobs["train"], jobs["part"], jobs["merge"], jobs["detect"]) == ("2", "2", "1", "3")


@pytest.mark.skipif(
    not all(map(shutil.which, ("sbatch", "squeue", "munged"))),
    reason="no SLURM here: apt install slurm-wlm munge, and start a node",
)
def test_one_node_of_slurm_runs_the_tiny_study(folder: pathlib.Path) -> None:
    up = subprocess.run(["sinfo", "-h"], capture_output=True, text=True)
    if up.returncode or not up.stdout.strip():
        pytest.skip("SLURM is installed and no node of it is up")
    profile = ROOT / "reproduce" / "workflow" / "slurm"
    run(folder, "--profile", str(profile), "--slurm-status-command", "squeue")
    assert (folder / "report" / "index.html").is_file()
