"""Checks that say whether attacks are to be believed, and the table that shows them."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tests.robustness.evaluated import (
    NET,
    PLAN,
    SCALED,
    X,
    Y,
    defence_of,
    evaluated,
    quantised,
    verdicts,
)
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.reporting.evaluation_table import table
from tf_deepbayes.robustness import attack_sets
from tf_deepbayes.robustness.comparisons import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Discordant,
    at_least,
    paired,
    tolerance,
)
from tf_deepbayes.robustness.evaluate import evaluate
from tf_deepbayes.robustness.suite import SUBSTITUTE, VICTIM


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


def test_the_table_names_every_attack_and_every_failure() -> None:
    figures = evaluated(quantised)[0]
    text = table(json.loads(json.dumps(figures)))
    for row in figures["components"]:
        assert row["name"] in text
    assert text.count("\nFAIL ") == sum(c["verdict"] == FAIL for c in figures["checks"])
    assert "95% interval" in text and "left out: " in text


def test_a_search_that_breaks_what_no_gradient_breaks_is_a_finding() -> None:
    """Eight of 293 images: within the tolerance of two shares, and not within chance."""
    gradients = np.arange(293) < 53
    search = np.arange(293) < 61
    assert at_least("name", ("a", "b"), (53 / 293, 61 / 293), 293, "").verdict == PASS
    check = paired("name", ("a", "b"), gradients, search, "why")
    assert check.verdict == FAIL and check.suggests == "why"
    assert check.discordant == (0, 8, 293)
    assert check.p_value is not None and abs(check.p_value - 0.5**8) < 1e-12
    assert paired("name", ("a", "b"), search, gradients, "why").verdict == PASS
    assert paired("name", ("a", "b"), gradients[:0], search[:0], "").verdict == NOT_APPLICABLE


def test_chance_is_rarely_a_finding() -> None:
    """Two attacks that break each image with the same probability, 2.5% at most."""
    random = np.random.default_rng(0)
    wins = random.random((4000, 2, 50)) < 0.3
    found = [Discordant.of(first, second).second_is_stronger for first, second in wins]
    assert 0.0 < np.mean(found) <= 0.025


def partly(x: tf.Tensor) -> tf.Tensor:
    """The network, with a gradient of zero on twelve images that attacks on it break."""
    hidden = np.flatnonzero(evaluated(NET)[1].draws[0].argmax(-1) != Y)[:12]
    darkest = np.sort(X[hidden, 0, 0, 0])
    own = tf.reduce_any(tf.abs(x[:, :1, :1, 0] - darkest) < 0.051, [1, 2], keepdims=True)
    return NET(tf.where(own[..., None], tf.stop_gradient(x), x))


def test_a_gradient_hidden_from_a_few_images_is_found() -> None:
    """Square breaks ten images whose gradient is zero; the shares alone would not tell."""
    checks = [c for c in evaluated(partly)[0]["checks"] if c["name"] == "white-box beats square"]
    assert [check["verdict"] for check in checks] == [FAIL]


def test_a_transfer_to_the_survivors_is_compared_on_all_images() -> None:
    """It could only break what was left to it, and nothing that gradients had broken before."""
    budget = dataclasses.replace(PLAN.budget, survivors=True, noise_iter=1)
    plan = dataclasses.replace(PLAN, budget=budget)
    sources = {VICTIM: ModelAccess(partly), SUBSTITUTE: ModelAccess(NET)}
    figures = evaluate(plan, defence_of(partly, plan, sources=sources))[0]
    (transfer,) = [row for row in figures["components"] if row["name"] == "transfer"]
    (check,) = [one for one in figures["checks"] if one["name"] == "white-box beats transfer"]
    assert transfer["attacked"] < 40 == check["discordant"][2] and check["verdict"] == FAIL


@pytest.mark.parametrize(("first_step", "better"), [(0.03, 8.0)])
def test_steps_that_do_not_fit_are_found(
    first_step: float, better: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attack_sets, "FIRST_STEP", first_step)
    plan = dataclasses.replace(PLAN, eps=0.1)
    checks = evaluate(plan, defence_of(NET, plan))[0]["checks"]
    failed = [check for check in checks if check["verdict"] == FAIL]
    names = {check["name"] for check in failed}
    assert "the step size fits" in names and "enough steps" not in names
    assert f"steps × {better:g}" in str(failed)
