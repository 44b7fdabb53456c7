"""Iterative gradient attacks, each one compiled graph: PGD and momentum (MIM).

Steps and projections are from cleverhans (`optimize_linear`, `clip_eta`); its own loops run step
by step from Python and trace every new configuration again.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
from cleverhans.tf2.utils import optimize_linear

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.ball import image_seeds, project, uniform_in_ball
from tf_deepbayes.attacks.base import Attack, AttackedBatch
from tf_deepbayes.attacks.loss_gradient import mean_gradient
from tf_deepbayes.attacks.losses import Loss
from tf_deepbayes.attacks.tracing import compiled_per_function
from tf_deepbayes.attacks.white_box.early_stopping import State, fooled, until_fooled
from tf_deepbayes.attacks.white_box.lazy_logits import StepLogits, step_logits_of
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_positive

CONSTANT, LINEAR = "constant", "linear"
SCHEDULES = {CONSTANT: 0.0, LINEAR: 1.0}  # share of the step size that is lost until the last step


@dataclasses.dataclass(frozen=True)
class IterativeAttack(Attack):
    """Steps of size `eps_iter` along the gradient of a loss, each projected onto the ball.

    Attributes:
        norm: np.inf (published) or 2.
        loss: "cross_entropy" (published), or one whose gradient does not vanish: "log_odds",
            "margin", "dlr".
        nb_iter: number of steps.
        eps_iter: size of a step in the norm, pixels in [0, 1].
        rand_init: start from a point drawn uniformly from the ball; it depends only on the image
            and the seed, not on the image's position in the batch.
        eot: gradients averaged per step, each with a new draw of the classifier's noise
            (expectation over transformation, Athalye et al. 2018).
        seed: seed of the random start.
        lazy_classes: steps between evaluations of classes far below the top, if the classifier
            can skip classes (see `lazy_logits`); 0: every class in every step.
        early_stop: stop on reliably misclassified images (see `early_stopping`). For success
            rates: these images end closer to the boundary than further steps would take them.
        check_every: steps between success checks with `early_stop`.
        schedule: "constant" (published): every step is `eps_iter`; "linear": step i of N is
            eps_iter · (1 − i/N), which ends closer to the optimum. Start it with 2 eps.
    """

    unsaid: ClassVar[tuple[str, ...]] = ("schedule",)
    # All it wants is another class (targeted: that class).
    only_misclassifies: ClassVar[bool] = True
    norm: float = np.inf
    loss: str = "cross_entropy"
    nb_iter: int = 40
    eps_iter: float = 0.01
    rand_init: bool = True
    eot: int = 1
    seed: int = 0
    lazy_classes: int = 0
    early_stop: bool = False
    check_every: int = 10
    schedule: str = CONSTANT

    def __post_init__(self) -> None:
        super().__post_init__()
        losses.get(self.loss)
        check_positive("eps_iter", self.eps_iter)
        check_count("nb_iter", self.nb_iter)
        check_count("eot", self.eot)
        check_count("lazy_classes", self.lazy_classes, minimum=0)
        check_count("check_every", self.check_every)
        if self.schedule not in SCHEDULES:
            known = ", ".join(SCHEDULES)
            raise InputError(f"schedule must be one of {known}, got {self.schedule!r}")
        if self.early_stop and not self.only_misclassifies:
            raise InputError(
                f"early_stop does not fit {type(self).__name__}, which is after more than another "
                "class; leave it out"
            )

    def decay(self) -> float | None:
        """Decay of the momentum; None for plain gradients."""
        return None

    def loss_fn(self) -> Loss:
        """(labels, what the attack sees) → loss of each image `[B]`; equal for equal attacks."""
        return losses.get(self.loss, self.targeted)

    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return self.attack_batch(logits_fn, logits_fn, x, y, eps).images

    def attack_batch(
        self, logits_fn: LogitsFn, target_fn: LogitsFn, x: Tensor, y: Tensor, eps: float
    ) -> AttackedBatch:
        """See `Attack.attack_batch`."""
        return self.climb(logits_fn, target_fn, x, y, eps, self.targeted)

    def climb(
        self,
        logits_fn: LogitsFn,
        target_fn: LogitsFn,
        x: Tensor,
        y: Tensor,
        eps: float,
        descend: bool,
    ) -> AttackedBatch:
        """The steps of one batch, up or down the loss for `y` (labels, or what the loss takes)."""
        start = x
        if self.rand_init:
            start += uniform_in_ball(image_seeds(x, self.seed), x.shape[1:], eps, self.norm)
        rule = StepRule(
            self.loss_fn(), self.norm, descend, self.decay() is not None, self.early_stop
        )
        sizes = StepSizes(
            tf.constant(eps, tf.float32),
            tf.constant(self.eps_iter, tf.float32),
            tf.constant(self.nb_iter),
            tf.constant(self.decay() or 0.0, tf.float32),
            tf.constant(self.eot),
            tf.constant(self.check_every),
            tf.constant(SCHEDULES[self.schedule], tf.float32),
        )
        step_logits = step_logits_of(logits_fn, self.lazy_classes)
        return AttackedBatch(*run_steps(rule, sizes, step_logits, target_fn, x, start, y))


@dataclasses.dataclass(frozen=True)
class PGD(IterativeAttack):
    """Projected gradient descent (Mądry et al. 2018): 40 steps of 0.01 from a random start."""

    name: ClassVar[str] = "pgd"


@dataclasses.dataclass(frozen=True)
class MIM(IterativeAttack):
    """The momentum iterative method (Dong et al. 2018): 100 steps of 0.01, decay 1.

    The published configuration asks for a random start, but its code ignores that.
    """

    name: ClassVar[str] = "mim"
    nb_iter: int = 100
    rand_init: bool = False
    decay_factor: float = 1.0

    def decay(self) -> float:
        """See `IterativeAttack.decay`."""
        return self.decay_factor


class StepRule(NamedTuple):
    """What a step does. Python values: new values mean a new trace.

    Attributes:
        loss: (labels, what the attack sees) → `[B]`, equal for equal attacks.
        norm: norm of the steps and the ball.
        descend: go down the loss instead of up.
        momentum: accumulate normalised gradients.
        early_stop: reliably misclassified images leave the batch.
    """

    loss: Loss
    norm: float
    descend: bool
    momentum: bool
    early_stop: bool


class StepSizes(NamedTuple):
    """The numbers of the steps. Tensors: new values need no new trace.

    Attributes:
        check_every: steps between success checks.
        decline: share of the step size that is lost evenly until step N.
    """

    eps: Tensor
    eps_iter: Tensor
    nb_iter: Tensor
    decay: Tensor
    eot: Tensor
    check_every: Tensor
    decline: Tensor | float = 0.0


@compiled_per_function(2, 3)
def run_steps(  # type: ignore[no-untyped-def]
    rule: StepRule,
    sizes: StepSizes,
    step_logits: StepLogits,
    target_fn: LogitsFn,
    x,
    start,
    y,
):
    """The attack on one batch: clean images x `[B, …]`, `start` before the first step.

    y are labels or targets `[B]`, or what the loss takes. The outcome is the images, and the steps
    that each took `[B]` if images may leave, else None.

    Args:
        target_fn: the classifier to be fooled, which decides when images leave.
    """
    advance = functools.partial(take_steps, rule, sizes, step_logits)
    # What a step changes: the images, the velocity, the known logits.
    state = start, tf.zeros_like(start), step_logits.known_at_start(start)
    if not rule.early_stop:
        return advance(0, sizes.nb_iter, x, y, state)[0], None
    is_fooled = functools.partial(fooled, target_fn, targeted=rule.descend)
    return until_fooled(advance, is_fooled, x, y, state, sizes.nb_iter, sizes.check_every)


def take_steps(
    rule: StepRule,
    sizes: StepSizes,
    step_logits: StepLogits,
    first: Tensor,
    last: Tensor,
    x: Tensor,
    y: Tensor,
    state: State,
) -> State:
    """The state after the steps first … last − 1, for a batch of any size."""

    def step(i: Tensor, adversarial: Tensor, velocity: Tensor, known: Tensor) -> tuple:
        forward = lambda x, known: step_logits.step_logits(x, y, i, known)  # noqa: E731
        gradient, known = mean_gradient(rule.loss, forward, adversarial, y, known, sizes.eot)
        gradient = -gradient if rule.descend else gradient
        if rule.momentum:
            axes = list(range(1, x.shape.rank))
            mean = tf.reduce_mean(tf.abs(gradient), axes, keepdims=True)
            gradient = velocity = sizes.decay * velocity + gradient / tf.maximum(mean, 1e-12)
        done = tf.cast(i, tf.float32) / tf.cast(sizes.nb_iter, tf.float32)
        size = sizes.eps_iter * (1.0 - sizes.decline * done)
        moved = adversarial + optimize_linear(gradient, size, rule.norm)
        return i + 1, project(x, moved, sizes.eps, rule.norm), velocity, known

    _, *state = tf.while_loop(lambda i, *_: i < last, step, (first, *state), parallel_iterations=1)
    return tuple(state)
