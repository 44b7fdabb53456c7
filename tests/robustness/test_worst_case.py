"""The worst of several attacks for each image, scored on draws that did not choose it."""

import dataclasses

import numpy as np
import pytest

from tests.robustness.evaluated import (
    GENERATOR,
    NET,
    PLAN,
    SCALED,
    X,
    Y,
    defence_of,
    evaluated,
    lottery,
    quantised,
    verdicts,
)
from tf_deepbayes.attacks import RandomNoise
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.evaluation.scoring import EvaluationSet
from tf_deepbayes.robustness.comparisons import FAIL
from tf_deepbayes.robustness.evaluate import evaluate
from tf_deepbayes.robustness.suite import SuiteAttack
from tf_deepbayes.robustness.worst_case import Candidate, choose, worst_case


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
    chosen = choose(target, lucky)
    own = np.stack([c.draws[0] for c in lucky])[chosen, np.arange(40)].argmax(1)
    assert (own != Y).all()
    found = worst_case(target, lucky, 20, 40, lambda number: None)
    assert found.draws.shape[0] == 20
    assert np.mean(found.draws.argmax(-1) != Y) == pytest.approx(0.8, abs=0.05)
    assert found.figures["success_in_every_draw"] < 0.2


class Leaver(RandomNoise):
    """An attack with a fault: it moves every pixel by three times eps."""

    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return x + 3.0 * eps


@pytest.mark.parametrize(("given", "error"), [(True, InputError), (False, RuntimeError)])
def test_an_attack_that_leaves_its_ball_is_an_error(given: bool, error: type[Exception]) -> None:
    """It would otherwise pass for a weak attack: its images were left out in silence."""
    plan = dataclasses.replace(PLAN, eps=0.01)
    leaver = SuiteAttack("leaver", Leaver(batch_size=20), plan.eps, given=given)
    with pytest.raises(error, match=r"attack leaver left the l∞ ball of radius 0\.01"):
        evaluate(plan, defence_of(NET, plan), components=[leaver])


def test_the_first_attack_that_broke_each_image_is_named() -> None:
    figures, worst = evaluated(NET)
    first = figures["worst_case"]["first_broken_by"]
    wrong = worst.draws[0].argmax(-1) != Y
    assert [name is not None for name in first] == wrong.tolist()
    names = [row["name"] for row in figures["components"]]
    assert {name for name in first if name} <= {*names, "unperturbed"}
    right = np.array([name is None or names.index(name) > 0 for name in first])
    assert right.mean() == pytest.approx(figures["components"][0]["robust_accuracy"])
