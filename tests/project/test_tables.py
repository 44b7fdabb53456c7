"""The tables of a study, from results as the apps write them."""

import pathlib

import numpy as np

from tests.small import IMAGES, convnet, images, labels_of
from tf_deepbayes.attacks import FGSM
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.evaluation.runner import run
from tf_deepbayes.evaluation.scoring import EvaluationSet
from tf_deepbayes.runs import results
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.study.markdown import (
    Runs,
    attack_rows,
    component_table,
    draw,
    evaluation_rows,
    training_rows,
)

CONFIG = RunConfig("GFZ", "mnist", IMAGES, "l2", 0, {})


def study(folder: pathlib.Path) -> Runs:
    """One model with a history, two attacks of which one was looked at, and an evaluation."""
    run_folder, net = folder / "GFZ", convnet()
    x = images(12, shape=(8, 8, 1))
    target = EvaluationSet.of(net, x, labels_of(net, x), draws=1)
    for eps in (0.1, 0.2):
        figures = run(FGSM(), ModelAccess(net), target, eps).figures
        path = run_folder / "attacks" / f"fgsm_eps{eps:.2f}.json"
        results.write_result(path, "attack", CONFIG, {"eps": eps}, figures)
    row = {"detector": "kl", "detection_rate": 0.25, "misclassified_undetected": 0.5}
    path = run_folder / "detection" / "fgsm_eps0.10.json"
    results.write_result(path, "detection", CONFIG, {}, [row])
    worst = {
        "num_images": 12,
        "clean_accuracy": 1.0,
        "robust_accuracy": 0.5,
        "robust_accuracy_interval": [0.25, 0.75],
    }
    evaluation = {
        "worst_case": worst,
        "unperturbed": {"robust_accuracy": 0.9},
        "components": [
            {"name": "pgd", "robust_accuracy": 0.75, "seconds": 2.0},
            {"name": "mim", "robust_accuracy": 0.5, "seconds": 3.0},
        ],
        "checks": [{"name": "bound", "verdict": "FAIL"}, {"name": "noise", "verdict": "pass"}],
    }
    results.write_result(
        run_folder / "evaluation" / "eps0.10_quick.json", "evaluation", CONFIG, {}, evaluation
    )
    text = "epoch,bound,seconds,val_accuracy\n1,-2.0,30,0.5\n2,-1.5,30,\n"
    (run_folder / "history.csv").write_text(text)
    return Runs(folder, ["GFZ", "DBX"])


def test_tables_say_what_the_results_say(tmp_path: pathlib.Path) -> None:
    runs = study(tmp_path)
    assert training_rows(runs) == [["GFZ", "2", "1", "-1.50", "0.500"]]
    first, second = attack_rows(runs, "fgsm_*")
    assert first[:3] == ["GFZ", "fgsm_eps0.10", "12"]
    assert first[-6:-1] == ["–", "–", "0.250", "–", "0.500"]
    assert second[-2] == "–"  # nobody looked at it
    assert attack_rows(runs, "pgd_*") == []
    (row,) = evaluation_rows(runs)
    assert row[3:] == ["1.000", "0.900", "0.50 (0.25–0.75)", "mim 0.50", "bound", "5"]
    *_, leaves = component_table(runs).splitlines()
    assert leaves == "| GFZ | eps0.10_quick | 0.750 | 0.500 |"


def test_curves_are_drawn(tmp_path: pathlib.Path) -> None:
    draw(study(tmp_path), tmp_path / "curves.png")
    content = (tmp_path / "curves.png").read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) > 5000
    assert not np.any([p.name.startswith(".") for p in tmp_path.iterdir()])
