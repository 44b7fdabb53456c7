"""The whole evaluation: the standard set, its worst case, and the checks."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.evaluation.parts import Part
from tf_deepbayes.evaluation.runner import SCORING, AttackResult
from tf_deepbayes.evaluation.scoring import draw_logits, score
from tf_deepbayes.robustness.attack_cache import (
    AttackCache,
    FinishedAttack,
    OpenStore,
    PartOfAttacks,
)
from tf_deepbayes.robustness.attack_sets import AttackSet
from tf_deepbayes.robustness.comparisons import broken
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
    attacks = AttackSet(plan, defence)
    on_survivors = components is None and plan.on_survivors(defence)
    components, left_out = attacks.or_all(components)
    clean = _unperturbed(plan, defence)
    candidates = [Candidate(UNPERTURBED, clean.adversarial, clean.draws)]
    if on_survivors:
        candidates += _on_survivors(runs, components, left_out)
    else:
        candidates += [_candidate(component, runs.of(component)) for component in components]
    draws = plan.eval_draws if defence.samples else 1
    worst = worst_case(defence.target, candidates, draws, plan.batch_size, defence.reseed)
    rows = [finished.row() for finished in runs.finished]
    checks = SanityChecks(attacks, runs, candidates, worst.figures["success_rate"]).all()
    check_rows = [finished.row() for finished in runs.finished[len(rows) :]]
    figures = {
        "worst_case": worst.figures,
        UNPERTURBED: clean.figures,
        "components": rows,
        "left_out": left_out,
        "checks": [dataclasses.asdict(check) for check in checks],
        "check_runs": check_rows,
        "samples": defence.samples,
    }
    return figures, worst


def evaluate_part(
    plan: EvaluationSettings,
    defence: Defence,
    open_store: OpenStore,
    part: Part,
    components: Sequence[SuiteAttack] | None = None,
) -> None:
    """Do a part of the batches of every attack that `evaluate` runs; all are kept in the stores.

    Args:
        components: attacks to run instead of the budget's set.

    Raises:
        InputError: which images an attack is run on depends on the attacks before it.
    """
    if components is None and plan.on_survivors(defence):
        raise InputError(
            "this budget attacks only the images that earlier attacks left, so that it cannot be "
            "divided; run it undivided, or with --budget standard"
        )
    runs = PartOfAttacks(defence, open_store, lambda finished: None, part)
    attacks = AttackSet(plan, defence)
    asked, _ = attacks.or_all(components)
    candidates = [_candidate(component, runs.of(component)) for component in asked]
    SanityChecks(attacks, runs, candidates, None).all()  # runs the attacks that the checks need


def _candidate(component: SuiteAttack, found: AttackResult) -> Candidate:
    return Candidate(component.name, found.adversarial, found.draws, component)


def _on_survivors(
    runs: AttackCache, components: Sequence[SuiteAttack], left_out: dict[str, str]
) -> Iterator[Candidate]:
    """Each attack on the images that all before it left; `left_out` says when there are none."""
    target = runs.defence.target
    alive = target.counted
    for component in components:
        if not alive.any():
            left_out[component.name] = "no image was left"
            continue
        found = runs.on(component, np.flatnonzero(alive))
        alive = alive & ~broken(target.labels, found.draws)
        yield _candidate(component, found)


def _unperturbed(plan: EvaluationSettings, defence: Defence) -> AttackResult:
    """The clean images in the draws that choose: what an attack that does nothing scores."""
    target = defence.target
    defence.reseed(SCORING)
    draws = draw_logits(target.logits_fn, target.images, target.draws, plan.batch_size)
    figures = with_robust_accuracy(target, score(target, target.images, draws))
    return AttackResult(target.images, draws, figures)
