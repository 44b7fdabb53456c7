"""Square attack: random search over square patches (Andriushchenko et al. 2020)."""

import dataclasses
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.ball import image_seeds, later_seeds, project
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.black_box.patches import moved_mass, recoloured_patch, stripes, tiles
from tf_deepbayes.attacks.black_box.random_search import random_search, scores
from tf_deepbayes.attacks.tracing import compiled_per_function
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count

# Queries out of 10,000 after each of which the patch share halves (section 5 of the paper).
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@dataclasses.dataclass(frozen=True)
class Square(Attack):
    """Random search: each query changes one square patch of the perturbation.

    l∞: every channel of the patch becomes +eps or −eps; the first image has such stripes, and the
    perturbation is always at a corner of the ball. l2: the patch takes over another patch's norm.
    The search does not stop at success: it maximises the loss to the end.

    Attributes:
        nb_iter: queries; the patch share shrinks on the published schedule, scaled to this number.
        p_init: share of the pixels in the first patches; 0.8 as in AutoAttack.
        norm: np.inf or 2.
        loss: see `IterativeAttack`.
        rescore: times a proposal that seems better is scored again, see `random_search`. On by
            default, for classifiers that sample; a query then costs up to two calls. For a
            deterministic classifier, 0 finds the same image with one.
        seed: seed of the patches; each image has its own.
    """

    name: ClassVar[str] = "square"
    nb_iter: int = 5000
    p_init: float = 0.8
    norm: float = np.inf
    loss: str = "margin"
    rescore: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        losses.get(self.loss)
        check_count("nb_iter", self.nb_iter)
        check_count("rescore", self.rescore, minimum=0)
        if not 0 < self.p_init <= 1:
            raise InputError(f"p_init must be a share above 0 and up to 1, got {self.p_init}")

    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        loss = losses.get(self.loss, self.targeted)
        sizes = SearchSizes(
            tf.constant(eps, tf.float32),
            tf.constant(self.p_init, tf.float32),
            tf.constant(self.nb_iter),
            tf.constant(self.rescore),
        )
        rule = SearchRule(loss, self.norm, self.targeted)
        return _search(rule, sizes, logits_fn, x, y, image_seeds(x, self.seed))


class SearchRule(NamedTuple):
    """What a search maximises, and where. Python values: new values mean a new trace."""

    loss: losses.Loss
    norm: float
    targeted: bool


class SearchSizes(NamedTuple):
    """The numbers of a search. Tensors: new values need no new trace."""

    eps: Tensor
    p_init: Tensor
    nb_iter: Tensor
    rescore: Tensor


@compiled_per_function(2)
def _search(  # type: ignore[no-untyped-def]
    rule: SearchRule, sizes: SearchSizes, logits_fn: LogitsFn, x, y, seeds
):
    """The attack on one batch."""
    (loss, norm, targeted), (eps, p_init, nb_iter, rescore) = rule, sizes
    first, change = (stripes, recoloured_patch) if norm == np.inf else (tiles, moved_mass)

    def propose(i: Tensor, best: Tensor) -> Tensor:
        share = patch_share(i, nb_iter, p_init)
        return project(x, change(later_seeds(seeds, i), x, best, share, eps), eps, norm)

    start = project(x, first(seeds, x, eps), eps, norm)
    score = scores(logits_fn, loss, targeted, y)
    return random_search(score, propose, start, nb_iter, rescore)


def patch_share(i: Tensor, nb_iter: Tensor, p_init: Tensor) -> Tensor:
    """Share of the pixels in the patch of query i."""
    of_10000 = tf.cast(i, tf.float32) / tf.cast(nb_iter, tf.float32) * 10_000.0
    halvings = tf.reduce_sum(tf.cast(of_10000 > tf.constant(HALVINGS, tf.float32), tf.float32))
    return p_init / 2.0**halvings
