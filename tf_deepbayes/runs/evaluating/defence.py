"""What the attacks of an evaluation see of a run."""

import dataclasses

from tf_deepbayes.attacks import GuideImages
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.data.splits import Split
from tf_deepbayes.robustness.suite import (
    LABEL_ONLY,
    SUBSTITUTE,
    VICTIM,
    Defence,
    EvaluationSettings,
)
from tf_deepbayes.runs.run import Run


def defence_of(
    plan: EvaluationSettings, victim: Run, substitute: Run | None, train: Split, test: Split
) -> Defence:
    """The run as the defence, on the test images given, with the noise of runs just loaded.

    Args:
        substitute: a run for a transfer attack.
        train: its first images are those to imitate.
    """
    runs = [victim] if substitute is None else [victim, substitute]
    for run in runs:
        run.restart()

    def reseed(number: int) -> None:
        for run in runs:
            run.reseed(number)

    guides, size = None, plan.budget.pool_size
    if size:
        few = train.first(min(size, len(train)))
        guides = GuideImages.of_right(victim.logits_fn, few.pixels, few.labels, plan.batch_size)
    sources = _sources(victim, substitute)
    defence = Defence.of(plan, victim.logits_fn, sources, test.pixels, test.labels)
    return dataclasses.replace(defence, guides=guides, reseed=reseed)


def _sources(victim: Run, substitute: Run | None) -> dict[str, ModelAccess]:
    """The classifiers whose gradients can be followed."""
    sources = {VICTIM: victim.access()}
    factor = getattr(victim.model, "label_factor", None)
    if factor is not None:
        sources[LABEL_ONLY] = victim.access(factor=factor)
    if substitute is not None:
        sources[SUBSTITUTE] = substitute.access()
    return sources
