"""The whole evaluation: the standard set, its worst case, and the checks."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from tf_deepbayes.evaluation.parts import Part
from tf_deepbayes.evaluation.runner import SCORING, AttackResult
from tf_deepbayes.evaluation.scoring import draw_logits, score
from tf_deepbayes.robustness.attack_cache import (
    AttackCache,
    FinishedAttack,
    OpenStore,
    PartOfAttacks,
)
from tf_deepbayes.robustness.sanity_checks import SanityChecks
from tf_deepbayes.robustness.suite import Defence, EvaluationSettings, SuiteAttack
from tf_deepbayes.robustness.worst_case import Candidate, with_robust_accuracy, worst_case

UNPERTURBED = "unperturbed"


def evaluate(
    plan: EvaluationSettings,
    defence: Defence,
    open_store: OpenStore = lambda component: None,
    on_done: Callable[[FinishedAttack], None] = lambda finished: None,
    components: Sequence[SuiteAttack] | None = None,
) -> tuple[dict[str, Any], AttackResult]:
    """Attack the classifier with the budget's set and check what comes out.

    Args:
        open_store: where the finished batches of each attack are kept and found again.
        on_done: called with each attack when it is finished.
        components: attacks to run instead of the budget's set.

    Returns:
        (figures, the worst case's images). The figures hold `worst_case` (see `worst_case`),
        `unperturbed` (the clean images, scored alike: what the noise does alone), `components`
        and `check_runs` (a row per attack), `left_out` and `checks`.
    """
    runs = AttackCache(defence, open_store, on_done)
    left_out: dict[str, str] = {}
    if components is None:
        components, left_out = plan.standard_set(defence)
    clean = _unperturbed(plan, defence)
    candidates = [Candidate(UNPERTURBED, clean.adversarial, clean.draws)]
    for component in components:
        found = runs.of(component)
        candidates.append(Candidate(component.name, found.adversarial, found.draws))
    draws = plan.eval_draws if defence.samples else 1
    worst = worst_case(defence.target, plan.eps, candidates, draws, plan.batch_size, defence.reseed)
    checks = SanityChecks(plan, runs, components, worst.figures["success_rate"]).all()
    rows = [finished.row() for finished in runs.finished]
    figures = {
        "worst_case": worst.figures,
        UNPERTURBED: clean.figures,
        "components": rows[: len(components)],
        "left_out": left_out,
        "checks": [dataclasses.asdict(check) for check in checks],
        "check_runs": rows[len(components) :],
        "samples": defence.samples,
    }
    return figures, worst


def evaluate_part(
    plan: EvaluationSettings, defence: Defence, open_store: OpenStore, part: Part
) -> None:
    """Do a part of the batches of every attack that `evaluate` runs; all are kept in the stores."""
    runs = PartOfAttacks(defence, open_store, lambda finished: None, part)
    components, _ = plan.standard_set(defence)
    for component in components:
        runs.of(component)
    SanityChecks(plan, runs, components, None).all()  # runs the attacks that the checks need


def _unperturbed(plan: EvaluationSettings, defence: Defence) -> AttackResult:
    """The clean images in the draws that choose: what an attack that does nothing scores."""
    target = defence.target
    defence.reseed(SCORING)
    draws = draw_logits(target.logits_fn, target.images, target.draws, plan.batch_size)
    figures = with_robust_accuracy(target, score(target, target.images, draws))
    return AttackResult(target.images, draws, figures)
