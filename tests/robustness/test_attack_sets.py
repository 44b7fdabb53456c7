"""Which attacks are run on what: inputs, survivors, norms, attacks of one's choice."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.robustness.evaluated import NET, PLAN, X, Y, defence_of
from tf_deepbayes.attacks import FGSM, PGD, Square
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.evaluation.parts import Part
from tf_deepbayes.robustness.attack_sets import AttackSet, chosen
from tf_deepbayes.robustness.comparisons import NOT_APPLICABLE
from tf_deepbayes.robustness.evaluate import evaluate, evaluate_part
from tf_deepbayes.robustness.suite import VICTIM, Defence


@pytest.mark.parametrize(
    ("x", "classifier", "message"),
    [
        (255.0 * X, NET, "divide bytes by 255"),
        ((255.0 * X).astype(np.uint8), NET, "divide bytes by 255"),
        (X, lambda x: tf.nn.softmax(NET(x)), "they are probabilities"),
    ],
)
def test_inputs_are_checked_where_the_evaluation_starts(
    x: Any, classifier: Any, message: str
) -> None:
    """Attacked all the same, every image would be called robust."""
    with pytest.raises(InputError, match=message):
        Defence.of(PLAN, classifier, {VICTIM: ModelAccess(classifier)}, x, Y)


@pytest.mark.parametrize("labels", [np.eye(5)[Y], Y[:, None], tf.constant(Y), Y.astype(float)])
def test_any_kind_of_labels_and_of_floats_will_do(labels: Any) -> None:
    sources = {VICTIM: ModelAccess(NET)}
    defence = Defence.of(PLAN, NET, sources, tf.constant(X, tf.float64), labels)
    assert defence.target.images.dtype == np.float32
    np.testing.assert_array_equal(defence.target.images, X)
    np.testing.assert_array_equal(defence.target.labels, Y)


def test_later_attacks_are_run_on_the_survivors_alone() -> None:
    budget = dataclasses.replace(PLAN.budget, survivors=True, ranks=2, restarts=2)
    plan = dataclasses.replace(PLAN, budget=budget)
    figures, worst = evaluate(plan, defence_of(NET, plan))
    rows = figures["components"]
    assert [row["name"] for row in rows] == [
        *("pgd_log_odds_0", "pgd_log_odds_1", "pgd_margin", "ranked", "square"),
    ]
    left = [row["robust_accuracy"] for row in rows]
    assert left == sorted(left, reverse=True)
    assert [row["attacked"] for row in rows] == [40, *(round(40 * share) for share in left[:-1])]
    assert figures["worst_case"]["robust_accuracy"] == pytest.approx(left[-1])
    first = figures["worst_case"]["first_broken_by"]
    assert first.count(None) == round(40 * left[-1])
    assert first.count("pgd_log_odds_0") == 40 - rows[1]["attacked"]
    assert np.abs(worst.adversarial - X).max() <= plan.eps + 1e-6
    whole = dataclasses.replace(plan, budget=dataclasses.replace(budget, survivors=False))
    found = evaluate(whole, defence_of(NET, whole))[0]["worst_case"]["first_broken_by"]
    assert found == first
    with pytest.raises(InputError, match="it cannot be divided"):
        evaluate_part(plan, defence_of(NET, plan), lambda component: None, Part(1, 2))
    gone = dataclasses.replace(plan, eps=1.0)
    assert set(evaluate(gone, defence_of(NET, gone))[0]["left_out"].values()) > {
        "no image was left"
    }


def test_a_ball_in_l2() -> None:
    budget = dataclasses.replace(PLAN.budget, ranks=2)
    plan = dataclasses.replace(PLAN, budget=budget, norm=2.0, eps=0.3)
    figures, worst = evaluate(plan, defence_of(NET, plan))
    sizes = np.sqrt(np.square(worst.adversarial - X).sum((1, 2, 3)))
    assert 0.29 < sizes.max() <= 0.3 + 1e-5
    assert np.abs(worst.adversarial - X).max() > 0.05
    assert 0.2 < figures["worst_case"]["success_rate"] < 1.0
    assert {check["verdict"] for check in figures["checks"]} <= {"pass", NOT_APPLICABLE}
    settings = [row["attack"] for row in figures["components"]]
    assert [found["norm"] for found in settings] == [2.0] * 4
    assert plan.settings(samples=False)["norm"] == 2.0
    assert "norm" not in PLAN.settings(samples=False)


def test_attacks_of_the_set_and_others_can_be_chosen() -> None:
    attacks = AttackSet(PLAN, defence_of(NET))
    found = chosen(attacks, ["pgd_margin", "pgd", "square", FGSM()])
    assert [one.name for one in found] == ["pgd_margin", "pgd", "square", "fgsm"]
    assert found[0].attack == attacks.pgd(loss="margin")
    assert found[1].attack == PGD() and found[2].attack == Square()
    assert [one.given for one in found] == [False, True, True, True]
    in_l2 = AttackSet(dataclasses.replace(PLAN, norm=2.0), defence_of(NET))
    assert chosen(in_l2, ["pgd"])[0].attack == PGD(norm=2.0)
