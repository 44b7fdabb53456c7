"""Random noise, the baseline that any attack has to beat."""

import dataclasses
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.ball import (
    image_seeds,
    later_seeds,
    project,
    signs,
    uniform_in_ball,
)
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.black_box.random_search import random_search, scores
from tf_deepbayes.attacks.tracing import compiled_per_function
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count


@dataclasses.dataclass(frozen=True)
class RandomNoise(Attack):
    """x + u, clipped to [0, 1], with u uniform in the ball; of several draws, the largest loss.

    Attributes:
        nb_iter: draws of u. One is plain noise; more are a random search.
        norm: np.inf or 2.
        corners: draw from the corners of the l∞ ball instead, ±eps in every value.
        loss: see `IterativeAttack`.
        rescore: times a draw that seems better is scored again, see `Square`.
        seed: seed of the draws; each image has its own.
    """

    name: ClassVar[str] = "noise"
    nb_iter: int = 1
    norm: float = np.inf
    corners: bool = False
    loss: str = "margin"
    rescore: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        losses.get(self.loss)
        check_count("nb_iter", self.nb_iter)
        check_count("rescore", self.rescore, minimum=0)
        if self.corners and self.norm != np.inf:
            raise InputError(f"corners need the norm inf, got {self.norm}; leave one of them out")

    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        loss = losses.get(self.loss, self.targeted)
        rule = NoiseRule(loss, self.norm, self.targeted, self.corners)
        sizes = NoiseSizes(
            tf.constant(eps, tf.float32), tf.constant(self.nb_iter), tf.constant(self.rescore)
        )
        return _search(rule, sizes, logits_fn, x, y, image_seeds(x, self.seed))


class NoiseRule(NamedTuple):
    """What is drawn and maximised. Python values: new values mean a new trace."""

    loss: losses.Loss
    norm: float
    targeted: bool
    corners: bool


class NoiseSizes(NamedTuple):
    """The numbers of the draws. Tensors: new values need no new trace."""

    eps: Tensor
    nb_iter: Tensor
    rescore: Tensor


@compiled_per_function(2)
def _search(  # type: ignore[no-untyped-def]
    rule: NoiseRule, sizes: NoiseSizes, logits_fn: LogitsFn, x, y, seeds
):
    """The attack on one batch."""
    (loss, norm, targeted, corners), (eps, nb_iter, rescore) = rule, sizes
    shape = x.shape[1:]

    def propose(i: Tensor, best: Tensor) -> Tensor:
        own = later_seeds(seeds, i)
        draw = eps * signs(own, shape) if corners else uniform_in_ball(own, shape, eps, norm)
        return project(x, x + draw, eps, norm)

    score = scores(logits_fn, loss, targeted, y)
    return random_search(score, propose, propose(0, x), nb_iter, rescore)
