"""The whole evaluation: the standard set, its worst case, and the checks."""

import dataclasses
from collections.abc import Callable
from typing import Any

from tf_deepbayes.evaluation.runner import SCORING, AttackResult
from tf_deepbayes.evaluation.scoring import draw_logits, score
from tf_deepbayes.robustness.attack_cache import AttackCache, FinishedAttack, OpenStore
from tf_deepbayes.robustness.sanity_checks import SanityChecks
from tf_deepbayes.robustness.suite import Defence, EvaluationSettings
from tf_deepbayes.robustness.worst_case import Candidate, with_robust_accuracy, worst_case

UNPERTURBED = "unperturbed"


def evaluate(
    plan: EvaluationSettings,
    defence: Defence,
    open_store: OpenStore = lambda component: None,
    on_done: Callable[[FinishedAttack], None] = lambda finished: None,
) -> tuple[dict[str, Any], AttackResult]:
    """Run the plan's attacks on the defence and check the results.

    Args:
        open_store: where the finished batches of each attack are saved and looked up.
        on_done: called with each attack when it is finished.

    Returns:
        (figures, the worst case's images). The figures hold `worst_case` (see `worst_case`),
        `unperturbed` (the clean images, scored the same way: the effect of noise alone),
        `components` and `check_runs` (a row per attack), `left_out` and `checks`.
    """
    runs = AttackCache(defence, open_store, on_done)
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


def _unperturbed(plan: EvaluationSettings, defence: Defence) -> AttackResult:
    """The clean images, scored like an attack that changes nothing."""
    target = defence.target
    defence.reseed(SCORING)
    draws = draw_logits(target.logits_fn, target.images, target.draws, plan.batch_size)
    figures = with_robust_accuracy(target, score(target, target.images, draws))
    return AttackResult(target.images, draws, figures)
