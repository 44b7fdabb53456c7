"""What a decomposition costs, counted by hand."""

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.robustness.attack_sets import AttackSet
from tf_deepbayes.robustness.budgets import BUDGETS
from tf_deepbayes.robustness.decomposition.sizes import SIZES, Cost, cost_lines, costs
from tf_deepbayes.robustness.suite import VICTIM, Defence, EvaluationSettings

PLAN = EvaluationSettings(BUDGETS["quick"], eps=0.1, batch_size=5)
RANDOM = tf.random.Generator.from_seed(0)


def noisy(x: Tensor) -> Tensor:
    """Logits of two classes that change between calls."""
    return tf.reduce_mean(x, axis=(1, 2)) * [1.0, -1.0] + RANDOM.normal([len(x), 2])


def found(names: list[str] | None = None) -> dict[str, Cost]:
    """The costs of taking apart an evaluation on 10 images, with K = 10."""
    x = np.full((10, 4, 4, 1), 0.5, np.float32)
    defence = Defence.of(PLAN, noisy, {VICTIM: ModelAccess(noisy)}, x, np.arange(10) % 2)
    attacks = AttackSet(PLAN, defence)
    components = [one for one in attacks.all()[0] if names is None or one.name in names]
    return {one.name: one for one in costs(attacks, components, SIZES["quick"], 10, 3.0)}


def test_an_attack_costs_its_steps_times_its_draws() -> None:
    one = found(["pgd_log_odds_0"])["standard set"]
    assert (one.gradients, one.calls) == (10 * PLAN.budget.nb_iter * PLAN.eot, 0)


def test_only_attacks_of_the_evaluation_are_counted() -> None:
    whole, one = found(), found(["pgd_log_odds_0"])
    assert whole["standard set"].gradients > one["standard set"].gradients
    assert {name: cost for name, cost in whole.items() if name != "standard set"} == {
        name: cost for name, cost in one.items() if name != "standard set"
    }


def test_what_only_the_checks_need_is_counted() -> None:
    """PGD at six settings of six steps, one of a quarter, one of 2.5 times, FGSM, two audits."""
    steps = PLAN.budget.nb_iter
    extra = found(["pgd_log_odds_0"])["attacks of the checks"]
    pgd = 1 + 1 + 2 + 2 + 1  # as it is, without a bound, two sizes, two lengths, cross-entropy
    gradients = steps * pgd + steps // 4 + steps * 5 // 2 + 1
    assert extra.gradients == 10 * (gradients + 2)
    assert extra.calls == 10 * PLAN.budget.noise_iter


def test_fresh_draws_are_of_clean_attacked_and_worst_images() -> None:
    assert found()["images in fresh draws"].calls == 3 * 10 * SIZES["quick"].draws


def test_the_last_line_is_the_sum() -> None:
    lines = list(cost_lines([Cost("a", 60, 0), Cost("b", 0, 0), Cost("c", 0, 120)], (1.0, 0.5)))
    assert len(lines) == 3  # nothing on what costs nothing
    assert lines[0].endswith("about 60 s") and lines[-1].endswith("about 2 min")
