"""SPSA: gradient descent on gradients estimated from values of the loss (Uesato et al. 2018).

The version in cleverhans 4 fails with Keras 3 optimizers; this is the published algorithm.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.adam import adam
from tf_deepbayes.attacks.ball import image_seeds, project, signs
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.black_box.monte_carlo import repeated, sum_over_samples
from tf_deepbayes.attacks.black_box.random_search import scores
from tf_deepbayes.attacks.tracing import compiled_per_function
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_finite, check_positive


@dataclasses.dataclass(frozen=True)
class SPSA(Attack):
    """Adam on ĝ = mean_j [f(x′ + δ u_j) − f(x′ − δ u_j)] / 2δ · u_j, u_j random signs; l∞ ball.

    f is the loss, and x′ is projected onto the ball after each step. The mean is also over draws of
    the classifier's noise, and the last x′ is returned, so that no lucky draw is selected.

    Attributes:
        nb_iter: Adam steps.
        learning_rate: Adam's learning rate, in pixels.
        delta: δ, in pixels. Probed points may leave [0, 1] by as much.
        spsa_samples: points probed per step: spsa_samples / 2 pairs. One call of the classifier
            gets at most `batch_size` images.
        loss: see `IterativeAttack`; the published loss is a hinge on this margin.
        stop_above: an image is left as it is once its f exceeds this, in one draw of the
            classifier's noise; None: never. The published −5 of a loss that is minimised is 5.
        seed: seed of the directions; each image has its own.
    """

    name: ClassVar[str] = "spsa"
    nb_iter: int = 100
    learning_rate: float = 0.01
    delta: float = 0.01
    spsa_samples: int = 128
    loss: str = "margin"
    stop_above: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        losses.get(self.loss)
        check_count("nb_iter", self.nb_iter)
        check_positive("learning_rate", self.learning_rate)
        check_positive("delta", self.delta)
        if self.stop_above is not None:
            object.__setattr__(self, "stop_above", check_finite("stop_above", self.stop_above))
        if check_count("spsa_samples", self.spsa_samples, minimum=2) % 2:
            raise InputError(f"spsa_samples must be even, they are pairs; got {self.spsa_samples}")

    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        rule = ClimbRule(
            losses.get(self.loss, self.targeted),
            self.targeted,
            max(1, self.batch_size // x.shape[0]),
            self.stop_above is not None,
        )
        sizes = ClimbSizes(
            tf.constant(eps, tf.float32),
            tf.constant(self.learning_rate, tf.float32),
            tf.constant(self.delta, tf.float32),
            tf.constant(self.spsa_samples // 2),
            tf.constant(self.nb_iter),
            tf.constant(self.stop_above or 0.0, tf.float32),
        )
        return _climb(rule, sizes, logits_fn, x, y, image_seeds(x, self.seed))


class ClimbRule(NamedTuple):
    """What is maximised, points of an image per call, whether images stop at `stop_above`.

    New values mean a new trace.
    """

    loss: losses.Loss
    targeted: bool
    at_once: int
    stops: bool


class ClimbSizes(NamedTuple):
    """The numbers of the climb. Tensors: new values need no new trace."""

    eps: Tensor
    learning_rate: Tensor
    delta: Tensor
    pairs: Tensor
    nb_iter: Tensor
    stop_above: Tensor


@compiled_per_function(2)
def _climb(  # type: ignore[no-untyped-def]
    rule: ClimbRule, sizes: ClimbSizes, logits_fn: LogitsFn, x, y, seeds
):
    """The attack on one batch."""
    loss, targeted, at_once, stops = rule
    eps, learning_rate, delta, pairs, nb_iter, stop_above = sizes
    zero = tf.zeros_like(x)
    score = scores(logits_fn, loss, targeted, repeated(y, at_once))

    def gradient(i: Tensor, adversarial: Tensor) -> Tensor:
        centre = repeated(adversarial, at_once)

        def slope(own_seeds: Tensor) -> Tensor:
            u = signs(own_seeds, x.shape[1:])
            rise = score(centre + delta * u) - score(centre - delta * u)
            return rise[:, None, None, None] / (2.0 * delta) * u

        total = sum_over_samples(slope, zero, seeds, i * pairs, pairs, at_once)
        return total / tf.cast(pairs, tf.float32)

    own_score = scores(logits_fn, loss, targeted, y)

    def moving(adversarial: Tensor, before: Tensor) -> Tensor:
        return before & (own_score(adversarial) <= stop_above) if stops else before

    def step(i: Tensor, adversarial: Tensor, m: Tensor, v: Tensor, moves: Tensor) -> tuple:
        change, m, v = adam(i, -gradient(i, adversarial), m, v, learning_rate)
        moved = project(x, adversarial + change, eps, np.inf)
        adversarial = tf.where(moves[:, None, None, None], moved, adversarial)
        return i + 1, adversarial, m, v, moving(adversarial, moves)

    everywhere = tf.ones(x.shape[:1], tf.bool)
    _, adversarial, *_ = tf.while_loop(
        lambda i, *state: (i < nb_iter) & tf.reduce_any(state[-1]),
        step,
        (0, x, zero, zero, moving(x, everywhere)),
        parallel_iterations=1,
    )
    return adversarial
