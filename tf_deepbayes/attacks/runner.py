"""Run an attack batch by batch, keep what is finished, and score it on fresh noise."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tf_deepbayes.attacks.base import Attack, Part
from tf_deepbayes.attacks.scoring import Target, draw_logits, score, zero_gradient_share
from tf_deepbayes.attacks.store import AttackStoppedError, BatchStore
from tf_deepbayes.attacks.views import Views
from tf_deepbayes.axes import Array
from tf_deepbayes.progress import progress

Reseed = Callable[[int], None]  # puts the classifier's noise into a state that the number gives
SCORING = 2**31 - 1  # the number of the noise that scores, which no batch has


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Adversarial images, the victim's logits on them in fresh draws, and the figures.

    Attributes:
        adversarial: `[N, H, W, channels]`.
        draws: `[R, N, C]`.
        figures: those of `run`.
    """

    adversarial: Array
    draws: Array
    figures: dict[str, Any]

    @property
    def logits(self) -> Array:
        """Those of the first draw, `[N, C]`."""
        return self.draws[0]


def run(
    attack: Attack,
    views: Views,
    target: Target,
    eps: float,
    store: BatchStore | None = None,
    reseed: Reseed = lambda number: None,
    zero_gradients: float | None = None,
) -> Outcome:
    """Attack the target and score it on fresh noise.

    Args:
        views: the classifier whose gradients are followed: the victim, or a substitute.
        store: where finished batches are kept and found again.
        reseed: makes the noise of each batch the same whether the attack was interrupted or not.
        zero_gradients: the share, where it is known already.

    Returns:
        Figures: those of `score`; `zero_gradients`, the share of images whose gradient of the
        attack's loss is exactly zero; `mean_steps` that an image took, of an attack that stops
        early; `seconds` spent on the batches of this run.

    Raises:
        AttackStoppedError: an image is not finite, or the disk is full; finished batches are kept.
    """
    (adversarial, steps), seconds = _attack(attack, views, target, eps, store, reseed)
    reseed(SCORING)
    draws = draw_logits(target.logits_fn, adversarial, target.draws, attack.batch_size)
    if zero_gradients is None:
        zero_gradients = zero_gradient_share(views.logits, target, attack)
    figures = {
        **score(target, adversarial, draws),
        "zero_gradients": zero_gradients,
        **({} if steps is None else {"mean_steps": float(steps.mean())}),
        "seconds": round(seconds, 1),
    }
    return Outcome(adversarial, draws, figures)


def _attack(
    attack: Attack,
    views: Views,
    target: Target,
    eps: float,
    store: BatchStore | None,
    reseed: Reseed,
) -> tuple[Part, float]:
    """All attacked images, and the seconds spent on those not found on disk."""
    x, size, seconds = target.images, attack.batch_size, 0.0
    if eps == 0.0:
        return Part(x.copy()), seconds
    seen = views.seen_by(attack)
    calls = list(attack.parts(seen, x, target.attack_labels, eps, target.logits_fn))
    found = []
    for index, call in progress(enumerate(calls), len(calls), type(attack).__name__):
        images = x[index * size : (index + 1) * size]
        part = store.get_part(index, images) if store is not None else None
        if part is None:
            reseed(index)
            started = time.monotonic()
            part = call()
            seconds += time.monotonic() - started
            _check_finite(part.images, index, store)
            if store is not None:
                store.put(index, images, part.images, part.steps)
        found.append(part)
    return Part.joined(found), seconds


def _check_finite(adversarial: Array, index: int, store: BatchStore | None) -> None:
    if np.isfinite(adversarial).all():
        return
    advice = store.kept() if store is not None else "the classifier's gradient is not finite there"
    raise AttackStoppedError(f"batch {index} came out with values that are not finite; {advice}")
