"""The robustness evaluation: the worst of several attacks, and whether they are to be believed."""

import dataclasses
import functools
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ROOT
from tests.small import classifier, convnet, images, labels_of
from tf_deepbayes.attacks import CarliniWagnerL2, GuideImages
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.attacks.white_box.bounded import Bounded
from tf_deepbayes.attacks.white_box.lazy_logits import LazyLogits
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.detection.selection import fit_all
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.evaluation.batch_store import BatchStore
from tf_deepbayes.evaluation.runner import AttackResult
from tf_deepbayes.evaluation.scoring import EvaluationSet
from tf_deepbayes.reporting.evaluation_table import table
from tf_deepbayes.robustness.budgets import BUDGETS, Budget
from tf_deepbayes.robustness.evaluate import evaluate
from tf_deepbayes.robustness.sanity_checks import FAIL, NOT_APPLICABLE, PASS, at_least, tolerance
from tf_deepbayes.robustness.suite import (
    LABEL_ONLY,
    SUBSTITUTE,
    VICTIM,
    Defence,
    EvaluationSettings,
    SuiteAttack,
)
from tf_deepbayes.robustness.worst_case import Candidate, choose, worst_case
from tf_deepbayes.runs import results

NET = convnet()
SCALED = convnet(scale=300.0)
X = images(40, shape=(8, 8, 1))
Y = labels_of(NET, X)
SMALL = Budget(
    nb_iter=8,
    restarts=1,
    momentum_iter=0,
    cw_iter=15,
    square_iter=60,
    noise_iter=10,
    snapshot=False,
    pool_size=0,
    draws=2,
)
PLAN = EvaluationSettings(SMALL, eps=0.05, batch_size=20, check_images=40)
GENERATOR = tf.random.Generator.from_seed(0)


def quantised(x: Tensor) -> Tensor:
    """The network behind a step function: its gradient is zero everywhere."""
    return NET(tf.stop_gradient(tf.round(4.0 * x) / 4.0) + 0.0 * x)


def lottery(x: Tensor) -> Tensor:
    """Logits that have nothing to do with the image."""
    return 3.0 * GENERATOR.normal([x.shape[0], 5]) + 0.0 * NET(x)


def defence_of(logits_fn: LogitsFn, plan: EvaluationSettings = PLAN, **options: Any) -> Defence:
    """The classifier as the victim, attacked on the test images."""
    defence = Defence.of(plan, logits_fn, {VICTIM: ModelAccess(logits_fn)}, X, Y)
    return dataclasses.replace(defence, **options)


@functools.cache
def evaluated(logits_fn: LogitsFn) -> tuple[dict[str, Any], AttackResult]:
    """One evaluation of each classifier for all tests."""
    GENERATOR.reset_from_seed(0)
    return evaluate(PLAN, defence_of(logits_fn))


def verdicts(logits_fn: LogitsFn) -> dict[str, set[str]]:
    """{check: its verdicts}, a set because a ladder has two rungs."""
    found: dict[str, set[str]] = {}
    for check in evaluated(logits_fn)[0]["checks"]:
        found.setdefault(check["name"], set()).add(check["verdict"])
    return found


def test_a_plain_network_passes_every_check() -> None:
    assert set.union(*verdicts(NET).values()) == {PASS, NOT_APPLICABLE}
    not_asked = {name for name, found in verdicts(NET).items() if NOT_APPLICABLE in found}
    assert not_asked == {"white-box beats transfer", "EOT is no weaker", "randomness is small"}


def test_masked_cross_entropy_is_found_and_does_not_change_the_worst_case() -> None:
    failed = {name for name, found in verdicts(SCALED).items() if FAIL in found}
    assert failed == {"cross-entropy is not masked"}
    checks = {check["name"]: check for check in evaluated(SCALED)[0]["checks"]}
    own, published = checks["gradients exist"]["figures"]
    assert own == 0.0 and published > 0.5
    scaled, plain = (evaluated(net)[0]["worst_case"]["success_rate"] for net in (SCALED, NET))
    assert abs(scaled - plain) < tolerance(scaled, plain, len(X))


def test_a_classifier_that_hides_its_gradient_fails_the_checks() -> None:
    failed = {name for name, found in verdicts(quantised).items() if FAIL in found}
    assert {"white-box beats square", "gradients exist", "no bound, no resistance"} <= failed
    figures = evaluated(quantised)[0]
    rates = {row["name"]: row["success_rate"] for row in figures["components"]}
    assert figures["worst_case"]["success_rate"] >= rates["square"] > 3 * rates["pgd_log_odds_0"]


@pytest.mark.parametrize("net", [NET, SCALED, quantised], ids=["plain", "scaled", "quantised"])
def test_the_worst_case_is_no_better_than_any_attack(net: LogitsFn) -> None:
    """Exactly so without noise: the margin of an image that is wrong is above that of one that is
    right."""
    figures, worst = evaluated(net)
    robust = figures["worst_case"]["robust_accuracy"]
    for row in (*figures["components"], figures["unperturbed"]):
        assert robust <= row["robust_accuracy"]
    assert sum(figures["worst_case"]["chosen"].values()) == len(X)
    assert np.abs(worst.adversarial - X).max() <= PLAN.eps + 1e-5
    assert worst.adversarial.min() >= 0.0 and worst.adversarial.max() <= 1.0


def test_images_wrong_before_the_attack_count_as_not_robust() -> None:
    figures = evaluated(quantised)[0]["worst_case"]
    assert figures["clean_accuracy"] == pytest.approx(0.9)
    remaining = figures["clean_accuracy"] * (1.0 - figures["success_rate"])
    assert figures["robust_accuracy"] == pytest.approx(remaining)
    low, high = figures["robust_accuracy_interval"]
    assert low < figures["robust_accuracy"] < high


def test_luck_is_not_mistaken_for_an_attack() -> None:
    """Four of five draws of any image are wrong, whatever was done to it, and hardly all five."""
    figures = evaluated(lottery)[0]
    assert figures["samples"]
    assert figures["worst_case"]["draws"] == PLAN.eval_draws
    assert figures["worst_case"]["success_in_every_draw"] < 0.7
    assert figures["worst_case"]["success_in_any_draw"] == 1.0
    assert FAIL in verdicts(lottery)["randomness is small"]


def test_the_draws_that_choose_are_not_those_that_score() -> None:
    """Noise alone: the candidate chosen was lucky in all draws of its own, and is not in others."""
    random = np.random.default_rng(0)
    GENERATOR.reset_from_seed(0)
    target = EvaluationSet.of(lottery, X, Y, draws=1)
    lucky = [Candidate(str(i), X, random.normal(size=(1, 40, 5))) for i in range(50)]
    chosen = choose(target, 0.1, lucky)
    own = np.stack([c.draws[0] for c in lucky])[chosen, np.arange(40)].argmax(1)
    assert (own != Y).all()
    found = worst_case(target, 0.1, lucky, 20, 40, lambda number: None)
    assert found.draws.shape[0] == 20
    assert np.mean(found.draws.argmax(-1) != Y) == pytest.approx(0.8, abs=0.05)
    assert found.figures["success_in_every_draw"] < 0.2


def test_an_image_outside_of_the_ball_has_no_chance() -> None:
    target = EvaluationSet.of(NET, X, Y, draws=1)
    wrong = np.eye(5)[(Y + 1) % 5][None]
    right = np.eye(5)[Y][None]
    far = Candidate("far", np.clip(X + 0.3, 0, 1), wrong)
    assert (choose(target, 0.1, [Candidate("near", X, right), far]) == 0).all()
    assert (choose(target, 0.3, [Candidate("near", X, right), far]) == 1).all()


def test_carlini_wagner_is_brought_into_the_ball() -> None:
    inside = CarliniWagnerL2(nb_iter=20, learning_rate=0.05)
    free = inside(NET, X, Y, 10.0)
    assert np.abs(free - X).max() > 0.06
    held = Bounded(attack=inside, size=10.0)(NET, X, Y, 0.05)
    np.testing.assert_allclose(held, np.clip(free, X - 0.05, X + 0.05), atol=1e-6)


def test_attacks_that_do_not_apply_are_named_with_the_reason() -> None:
    plan = dataclasses.replace(PLAN, budget=BUDGETS["standard"])
    components, left_out = plan.standard_set(defence_of(NET, plan))
    names = [component.name for component in components]
    assert names == ["pgd_log_odds_0", "pgd_log_odds_1", "pgd_margin", "mim", "cw", "square"]
    assert set(left_out) == {"superwhite", "label_only", "matching", "transfer"}
    access = ModelAccess(lottery, log_weights=lambda x: tf.transpose(lottery(x))[None])
    sources = {VICTIM: access, LABEL_ONLY: ModelAccess(NET), SUBSTITUTE: ModelAccess(NET)}
    defence = defence_of(lottery, plan, sources=sources, guides=GuideImages(X, Y))
    components, left_out = plan.standard_set(defence)
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


def test_noise_is_not_flagged_and_a_difference_is() -> None:
    compared = ("first", "second")
    assert at_least("name", compared, (0.50, 0.60), 50, "why").verdict == PASS
    failed = at_least("name", compared, (0.50, 0.60), 1000, "why")
    assert failed.verdict == FAIL and failed.suggests == "why"
    assert at_least("name", compared, (0.0, 0.0), 5, "why").verdict == PASS
    assert at_least("name", compared, (None, 0.6), 50, "why").verdict == NOT_APPLICABLE
    rates = np.random.default_rng(0).binomial(50, 0.3, size=(4000, 2)) / 50
    flagged = [at_least("name", compared, (a, b), 50, "").verdict == FAIL for a, b in rates]
    assert np.mean(flagged) < 0.04  # one side of a 95% interval


def test_a_killed_evaluation_ends_as_an_uninterrupted_one(tmp_path: pathlib.Path) -> None:
    """Finished attacks are found on disk again: the classifier is not called to attack them."""

    def open_store(component: SuiteAttack, resume: bool = True) -> BatchStore:
        return BatchStore(
            tmp_path / component.name, {"attack": component.attack.settings()}, resume
        )

    def kill(finished: Any) -> None:
        if finished.component.name == "square":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(PLAN, defence_of(NET), open_store, kill)
    seconds: dict[str, float] = {}

    def note(finished: Any) -> None:
        seconds[finished.component.name] = finished.outcome.figures["seconds"]

    figures, worst = evaluate(PLAN, defence_of(NET), open_store, note)
    np.testing.assert_array_equal(worst.adversarial, evaluated(NET)[1].adversarial)
    assert figures["worst_case"] == evaluated(NET)[0]["worst_case"]
    assert seconds["pgd_log_odds_0"] == seconds["pgd_margin"] == seconds["square"] == 0.0


def test_the_table_names_every_attack_and_every_failure() -> None:
    figures = evaluated(quantised)[0]
    text = table(json.loads(json.dumps(figures)))
    for row in figures["components"]:
        assert row["name"] in text
    assert text.count("\nFAIL ") == sum(c["verdict"] == FAIL for c in figures["checks"])
    assert "95% interval" in text and "left out: " in text


@pytest.mark.parametrize("option", [{"eps": 0.0}, {"eps": 1.5}, {"eot": 0}, {"lazy_classes": -1}])
def test_settings_without_meaning_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"^{next(iter(option))} must be"):
        dataclasses.replace(PLAN, **option)


App = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_app_writes_figures_and_images_that_can_be_detected(
    tmp_path: pathlib.Path, app: App
) -> None:
    run = tmp_path / "mnist_5k" / "DBX"
    train = [sys.executable, ROOT / "train" / "vae.py", "DBX", "--data", "mnist_5k"]
    small = ["--num_train", 100, "--epochs", 1, "--dim_z", 4, "--out", run]
    subprocess.run([str(c) for c in train + small], check=True, capture_output=True)
    common = ["--victim", run, "--data", "mnist_5k", "--num_samples", 2, "--eps", 0.2]
    few = ["--budget", "quick", "--num_images", 4, "--check_images", 2, "--batch_size", 2]
    done = app("attack/evaluate.py", *common, *few)
    assert done.returncode == 0, done.stderr
    assert "worst case of each image" in done.stdout
    content = results.read_result(run / "evaluation" / "eps0.20_quick.json", "evaluation")
    names = {row["name"] for row in content["figures"]["components"]}
    assert names == {"pgd_log_odds_0", "pgd_margin", "square", "label_only"}
    assert content["settings"]["budget"] == dataclasses.asdict(BUDGETS["quick"])
    saved = saved_attacks.read_attack_arrays(run / "attacks" / content["settings"]["images"])
    assert saved["adversarial"].shape == (4, 28, 28, 1)
    assert not list((run / "evaluation").glob("*.partial"))
    again = app("attack/evaluate.py", *common, *few, "--resume")
    assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
    assert content == results.read_result(run / "evaluation" / "eps0.20_quick.json", "evaluation")


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
