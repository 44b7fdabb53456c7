"""Checks that say whether attacks are to be believed, and the table that shows them."""

import json

import numpy as np

from tests.robustness.evaluated import NET, SCALED, X, evaluated, quantised, verdicts
from tf_deepbayes.reporting.evaluation_table import table
from tf_deepbayes.robustness.sanity_checks import FAIL, NOT_APPLICABLE, PASS, at_least, tolerance


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
