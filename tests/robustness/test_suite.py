"""The standard evaluation: what is run, resumed and written."""

import dataclasses
import functools
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import App
from tests.robustness.evaluated import NET, PLAN, X, Y, defence_of, evaluated, lottery
from tests.small import IMAGES, classifier, images
from tf_deepbayes.attacks import CarliniWagnerL2, GuideImages
from tf_deepbayes.attacks.access import LazyLogits, ModelAccess
from tf_deepbayes.attacks.white_box.bounded import Bounded
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.detection.selection import fit_all
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.evaluation.batch_store import BatchStore
from tf_deepbayes.robustness.attack_cache import AttackCache
from tf_deepbayes.robustness.attack_sets import AttackSet
from tf_deepbayes.robustness.budgets import BUDGETS, Budget
from tf_deepbayes.robustness.comparisons import NOT_APPLICABLE
from tf_deepbayes.robustness.evaluate import evaluate
from tf_deepbayes.robustness.suite import (
    LABEL_ONLY,
    SUBSTITUTE,
    VICTIM,
    Defence,
    EvaluationSettings,
    SuiteAttack,
)
from tf_deepbayes.runs import checkpoints, results
from tf_deepbayes.runs.checkpoints import RunConfig


def test_carlini_wagner_is_brought_into_the_ball() -> None:
    inside = CarliniWagnerL2(nb_iter=20, learning_rate=0.05)
    free = inside(NET, X, Y, 10.0)
    assert np.abs(free - X).max() > 0.06
    held = Bounded(attack=inside, size=10.0)(NET, X, Y, 0.05)
    np.testing.assert_allclose(held, np.clip(free, X - 0.05, X + 0.05), atol=1e-6)


def test_attacks_that_do_not_apply_are_named_with_the_reason() -> None:
    plan = dataclasses.replace(PLAN, budget=BUDGETS["standard"])
    components, left_out = AttackSet(plan, defence_of(NET, plan)).all()
    names = [component.name for component in components]
    assert names == ["pgd_log_odds_0", "pgd_log_odds_1", "pgd_margin", "ranked", "square"]
    assert set(left_out) == {"superwhite", "label_only", "matching", "transfer"}
    access = ModelAccess(lottery, log_weights=lambda x: tf.transpose(lottery(x))[None])
    sources = {VICTIM: access, LABEL_ONLY: ModelAccess(NET), SUBSTITUTE: ModelAccess(NET)}
    defence = defence_of(lottery, plan, sources=sources, guides=GuideImages(X, Y))
    components, left_out = AttackSet(plan, defence).all()
    assert not left_out
    assert {"superwhite", "label_only", "matching", "transfer"} <= {c.name for c in components}


def test_every_adaptive_attack_runs_on_a_deep_bayes_classifier() -> None:
    """With detectors: each of them follows other functions of the model."""
    model = classifier("GBZ")
    x, partial = images(4), functools.partial
    logits_fn = partial(model.logits, num_samples=2)
    y = np.asarray(logits_fn(x)).argmax(1)
    log_weights = partial(model.log_weights, num_samples=2)
    some = partial(model.class_logits, num_samples=2)
    label: dict[str, Any] = {"num_samples": 2, "factor": model.label_factor}
    label_only = LazyLogits(partial(model.logits, **label), partial(model.class_logits, **label))
    sources = {
        VICTIM: ModelAccess(LazyLogits(logits_fn, some), log_weights),
        LABEL_ONLY: ModelAccess(label_only),
        SUBSTITUTE: ModelAccess(logits_fn),
    }
    few = Budget(2, 1, 2, 2, 2, 2, True, 6, 2)
    plan = EvaluationSettings(
        few, eps=0.1, batch_size=4, check_images=4, eval_draws=2, lazy_classes=2
    )
    train = images(30, seed=1)
    scores = np.asarray(logits_fn(train))
    fitted = fit_all(scores, np.arange(30) % 3, has_p_x=True)
    detectors = {name: fitted[name] for name in ("marginal", "kl")}
    guides = GuideImages(train[:6], np.arange(6) % 3)
    defence = Defence.of(plan, logits_fn, sources, x, y)
    defence = dataclasses.replace(defence, guides=guides, detectors=detectors)
    figures, worst = evaluate(plan, defence)
    names = {row["name"] for row in figures["components"]}
    detected = {f"superwhite_{name}" for name in detectors}
    assert detected | {"superwhite", "label_only", "matching"} <= names
    assert "transfer" in names and not figures["left_out"]
    assert worst.draws.shape == (2, 4, 3)
    by_name = {check["name"]: check["verdict"] for check in figures["checks"]}
    assert by_name["EOT is no weaker"] != NOT_APPLICABLE
    lazy = {
        row["name"] for row in figures["components"] if "'lazy_classes': 2" in str(row["attack"])
    }
    assert {"pgd_log_odds_0", "pgd_margin", "mim", "cw"} <= lazy and "superwhite" not in lazy
    # What is written down must not depend on the process: --resume compares it.
    assert "object at 0x" not in str(figures["components"])


def test_a_killed_evaluation_ends_as_an_uninterrupted_one(tmp_path: pathlib.Path) -> None:
    """Finished attacks are found on disk again: the classifier is not called to attack them."""

    def open_store(component: SuiteAttack, resume: bool = True) -> BatchStore:
        return BatchStore(
            tmp_path / component.name, {"attack": component.attack.settings()}, resume
        )

    before: dict[str, float] = {}
    seconds: dict[str, float] = {}

    def kill(finished: Any) -> None:
        before[finished.component.name] = finished.outcome.figures["seconds"]
        if finished.component.name == "square":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(PLAN, defence_of(NET), open_store, kill)

    def note(finished: Any) -> None:
        seconds[finished.component.name] = finished.outcome.figures["seconds"]

    figures, worst = evaluate(PLAN, defence_of(NET), open_store, note)
    np.testing.assert_array_equal(worst.adversarial, evaluated(NET)[1].adversarial)
    assert figures["worst_case"] == evaluated(NET)[0]["worst_case"]
    assert {name: seconds[name] for name in before} == before
    assert {"pgd_log_odds_0", "pgd_margin", "square"} <= set(before)


def test_an_attack_that_was_run_before_is_not_run_again() -> None:
    first = AttackCache(defence_of(NET))
    component = AttackSet(PLAN, first.defence).restart(0)
    found = first.of(component)
    second = AttackCache(defence_of(NET), finished=first.finished)
    assert second.of(component) is found and len(second.finished) == 1


@pytest.mark.parametrize("option", [{"eps": 0.0}, {"eps": 1.5}, {"eot": 0}, {"lazy_classes": -1}])
def test_settings_without_meaning_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"^{next(iter(option))} must be"):
        dataclasses.replace(PLAN, **option)


def test_the_app_writes_figures_and_images_that_can_be_detected(
    tmp_path: pathlib.Path, app: App
) -> None:
    run, sizes = tmp_path / "mnist_5k" / "DBX", IMAGES.replace(num_classes=10)
    checkpoints.save_config(run, RunConfig("DBX", "mnist_5k", sizes, "l2", 0, {}))
    checkpoints.save(run, classifier("DBX", sizes), epoch=1)
    common = ["--victim", run, "--data", "mnist_5k", "--num_samples", 2, "--eps", 0.2]
    few = ["--budget", "quick", "--num_images", 4, "--check_images", 2, "--batch_size", 2]
    done = app("attack/evaluate.py", *common, *few)
    assert done.returncode == 0, done.stderr
    assert "worst case of each image" in done.stdout
    content = results.read_result(run / "evaluation" / "eps0.20_quick_K2_n4.json", "evaluation")
    names = {row["name"] for row in content["figures"]["components"]}
    assert names == {"pgd_log_odds_0", "pgd_margin", "square", "label_only"}
    quick = EvaluationSettings(BUDGETS["quick"], 0.2).settings(samples=True)["budget"]
    assert content["settings"]["budget"] == quick and "ranks" not in quick
    saved = saved_attacks.read_attack_arrays(run / "attacks" / content["settings"]["images"])
    assert saved["adversarial"].shape == (4, 28, 28, 1)
    assert not list((run / "evaluation").glob("*.partial"))
    again = app("attack/evaluate.py", *common, *few, "--resume")
    assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
    assert content == results.read_result(
        run / "evaluation" / "eps0.20_quick_K2_n4.json", "evaluation"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --victim"),
        (["--victim", "GFZ", "--eps", 0], "eps must be above 0"),
        (["--victim", "GFZ", "--num_images", 0], "num_images must be a whole number"),
    ],
)
def test_bad_flags_are_one_line_and_status_2(arguments: list, message: str, app: App) -> None:
    done = app("attack/evaluate.py", *arguments)
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 1
    assert lines[0].startswith("error: ") and message in lines[0]
