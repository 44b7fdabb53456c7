"""Run an attack batch by batch, save finished batches, and score it on fresh noise."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.attacks.base import Attack, AttackedBatch
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import StopRequested
from tf_deepbayes.core.progress import progress, stop_requested, stopping_between_steps
from tf_deepbayes.evaluation.batch_store import AttackStoppedError, BatchStore
from tf_deepbayes.evaluation.parts import Part
from tf_deepbayes.evaluation.scoring import (
    EvaluationSet,
    draw_logits,
    score,
    significant_share,
    zero_gradient_share,
)
from tf_deepbayes.evaluation.workers import Reseed, Worker, spread

SCORING = 2**31 - 1  # noise number for scoring, which no batch has


@dataclasses.dataclass(frozen=True)
class AttackResult:
    """Adversarial images, the victim's logits on them in fresh draws, and the figures.

    Attributes:
        adversarial: `[N, H, W, channels]`.
        draws: the logits, `[R, N, C]`.
        figures: see `run`.
    """

    adversarial: Array
    draws: Array
    figures: dict[str, Any]

    @property
    def logits(self) -> Array:
        """The logits of the first draw, `[N, C]`."""
        return self.draws[0]


def run(
    attack: Attack,
    access: ModelAccess,
    target: EvaluationSet,
    eps: float,
    store: BatchStore | None = None,
    reseed: Reseed = lambda number: None,
    zero_gradients: float | None = None,
    others: Sequence[Worker] = (),
) -> AttackResult:
    """Attack the target and score it on fresh noise.

    Args:
        access: the classifier whose gradients are followed: the victim, or a substitute.
        store: where finished batches are saved and looked up.
        reseed: makes each batch's noise the same whether or not the attack was interrupted.
        zero_gradients: that share, if already known.
        others: copies of the classifier on further devices, which also attack batches.

    Returns:
        Figures: those of `score`; `zero_gradients`, the share of images where the gradient of the
        attack's loss is exactly zero; `counting_terms`, the share of terms (sample, class) that
        are significant for it, None if there are none; `mean_steps` per image, if the attack stops
        early; `seconds` spent on the batches, summed over devices and interrupted runs.

    Raises:
        StopRequested: the process was asked to stop; finished batches are kept.
        AttackStoppedError: an image is not finite; finished batches are kept.
        OSError: a batch cannot be written, as on a full disk; those finished before are kept.
    """
    workers = [Worker(access, target.logits_fn, reseed), *others]
    found = _attack(attack, workers, target.images, target.attack_labels, eps, store)
    adversarial, steps = AttackedBatch.joined([batch for batch, _ in found])
    seconds = sum(seconds for _, seconds in found)
    reseed(SCORING)
    draws = draw_logits(target.logits_fn, adversarial, target.draws, attack.batch_size)
    if zero_gradients is None:
        zero_gradients = zero_gradient_share(access.logits, target, attack)
    log_weights = access.log_weights
    significant = log_weights and significant_share(log_weights, target, adversarial, attack)
    figures = {
        **score(target, adversarial, draws),
        "zero_gradients": zero_gradients,
        "counting_terms": significant,
        **({} if steps is None else {"mean_steps": float(steps.mean())}),
        "seconds": round(seconds, 1),
    }
    return AttackResult(adversarial, draws, figures)


def run_part(
    attack: Attack,
    workers: Sequence[Worker],
    images: Array,
    attack_labels: Array,
    eps: float,
    store: BatchStore,
    part: Part,
) -> Sequence[int]:
    """Attack a part of the batches, which are kept in the store; the numbers of these batches."""
    if eps == 0.0:
        return []
    numbers = part.of(range(-(-len(images) // attack.batch_size)))
    _attack(attack, workers, images, attack_labels, eps, store, numbers)
    return numbers


def _attack(
    attack: Attack,
    workers: Sequence[Worker],
    x: Array,
    attack_labels: Array,
    eps: float,
    store: BatchStore | None,
    numbers: Sequence[int] | None = None,
) -> list[tuple[AttackedBatch, float]]:
    """Attacked batches, and the seconds spent on each.

    Args:
        numbers: of the batches; None: all.
    """
    size = attack.batch_size
    if eps == 0.0:
        return [(AttackedBatch(x.copy()), 0.0)]
    calls = [
        list(attack.parts(w.access.for_attack(attack), x, attack_labels, eps, w.target_fn))
        for w in workers
    ]
    numbers = range(len(calls[0])) if numbers is None else numbers
    if store is not None:
        store.check_complete([x[i * size : (i + 1) * size] for i in numbers])

    def one(number: int, at: int) -> tuple[AttackedBatch, float]:
        index = numbers[at]
        _stop_if_requested(store)
        images = x[index * size : (index + 1) * size]
        kept = store.get(index, images) if store is not None else None
        if kept is not None:
            return kept
        with workers[number].on_device():
            workers[number].reseed(index)
            started = time.monotonic()
            part = calls[number][index]()
        seconds = time.monotonic() - started
        _check_finite(part.images, index, store)
        if store is not None:
            store.put(index, images, part, seconds)
        return part, seconds

    count = len(numbers)
    with stopping_between_steps():
        found = list(progress(spread(one, count, len(workers)), count, type(attack).__name__))
        _stop_if_requested(store)
    return found


def _stop_if_requested(store: BatchStore | None) -> None:
    if stop_requested():
        raise StopRequested(*([] if store is None else [store.kept()]))


def _check_finite(adversarial: Array, index: int, store: BatchStore | None) -> None:
    if np.isfinite(adversarial).all():
        return
    told = "the classifier's gradient is not finite there"
    advice = told if store is None else store.advice()
    raise AttackStoppedError(f"batch {index} came out with values that are not finite; {advice}")
