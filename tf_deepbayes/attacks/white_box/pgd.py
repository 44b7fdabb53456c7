"""Iterated gradient attacks, each one compiled graph: PGD and momentum (MIM).

Steps and projections are cleverhans' own (`optimize_linear`, `clip_eta`); its loops run step by
step from Python and trace every new configuration again.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from cleverhans.tf2.utils import optimize_linear

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.ball import check_norm, image_seeds, project, uniform_in_ball
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.losses import Loss
from tf_deepbayes.attacks.white_box import lazy_logits
from tf_deepbayes.attacks.white_box.early_stopping import State, fooled, until_fooled
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_positive


@dataclasses.dataclass(frozen=True)
class IterativeAttack(Attack):
    """Steps of size `eps_iter` along the gradient of a loss, projected onto the ball each time.

    Attributes:
        norm: np.inf (published) or 2.
        loss: "cross_entropy" (published), or one that does not vanish: "log_odds", "margin", "dlr".
        nb_iter: number of steps.
        eps_iter: size of a step, in pixels and the norm.
        rand_init: start from a point drawn uniformly from the ball; it depends on the image and
            the seed alone, not on the image's place in the batch.
        eot: gradients averaged per step, each with a new draw of the classifier's noise
            (expectation over transformation, Athalye et al. 2018).
        seed: of the random start.
        lazy_classes: evaluate classes far below the top only every so many steps, where the
            classifier can (see `lazy_logits`); 0: all of them in every step.
        early_stop: images that are misclassified for good (see `early_stopping`) are left as
            they are. For success rates: they are less far beyond the boundary than they could be.
        check_every: steps between looks at who is, with `early_stop`.
    """

    only_misclassifies: ClassVar[bool] = (
        True  # all it wants is another class (targeted: that class)
    )
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

    def __post_init__(self) -> None:
        losses.get(self.loss)
        check_norm(self.norm)
        check_positive("eps_iter", self.eps_iter)
        check_count("nb_iter", self.nb_iter)
        check_count("eot", self.eot)
        check_count("lazy_classes", self.lazy_classes, minimum=0)
        check_count("check_every", self.check_every)
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
        if self.early_stop:
            return self.attack_batch(logits_fn, logits_fn, x, y, eps)[0]
        return self.climb(logits_fn, x, y, eps, self.targeted)

    def attack_batch(
        self, logits_fn: LogitsFn, target_fn: LogitsFn, x: Tensor, y: Tensor, eps: float
    ) -> tuple[Tensor, Tensor | None]:
        """See `Attack.attack_batch`."""
        if not self.early_stop:
            return self.perturb(logits_fn, x, y, eps), None
        every = tf.constant(self.check_every)
        settings = self._settings(logits_fn, x, y, eps, self.targeted)
        return _iterate_until_fooled(target_fn, every, *settings)

    def climb(
        self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float, descend: bool = False
    ) -> Tensor:
        """The steps of one batch, up or down the loss against `y` (labels, or what it takes)."""
        return _iterate(*self._settings(logits_fn, x, y, eps, descend))

    def _settings(
        self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float, descend: bool
    ) -> tuple[Any, ...]:
        """The arguments of `_iterate`."""
        lazy_logits.check(logits_fn, self.lazy_classes)
        start = x
        if self.rand_init:
            start += uniform_in_ball(image_seeds(x, self.seed), x.shape[1:], eps, self.norm)
        return (
            logits_fn,
            self.loss_fn(),
            self.norm,
            descend,
            self.decay() is not None,
            self.lazy_classes,
            x,
            start,
            y,
            tf.constant(eps, tf.float32),
            tf.constant(self.eps_iter, tf.float32),
            tf.constant(self.nb_iter),
            tf.constant(self.decay() or 0.0, tf.float32),
            tf.constant(self.eot),
        )


@dataclasses.dataclass(frozen=True)
class PGD(IterativeAttack):
    """Projected gradient descent (Mądry et al. 2018): 40 steps of 0.01 from a random start."""

    name: ClassVar[str] = "pgd"


@dataclasses.dataclass(frozen=True)
class MIM(IterativeAttack):
    """The momentum iterative method (Dong et al. 2018): 100 steps of 0.01, decay 1.

    The published configuration asks for a random start, and its code ignores that.
    """

    name: ClassVar[str] = "mim"
    nb_iter: int = 100
    rand_init: bool = False
    decay_factor: float = 1.0

    def decay(self) -> float:
        """See `IterativeAttack.decay`."""
        return self.decay_factor


Steps = Callable[[Tensor, Tensor, Tensor, Tensor, State], State]


@tf.function
def _iterate(  # type: ignore[no-untyped-def]
    logits_fn,
    loss_fn,
    norm,
    descend,
    momentum,
    lazy_classes,
    x,
    start,
    y,
    eps,
    eps_iter,
    nb_iter,
    decay,
    eot,
):
    """The attack on one batch; numbers are tensors, so that other numbers need no new trace."""
    size = eps, eps_iter, decay, eot
    steps = _steps(logits_fn, loss_fn, norm, descend, momentum, lazy_classes, *size)
    return steps(0, nb_iter, x, y, _first(logits_fn, lazy_classes, start))[0]


@tf.function
def _iterate_until_fooled(target_fn, check_every, *settings):  # type: ignore[no-untyped-def]
    """`_iterate`, and the steps that each image took: broken ones are left as they are."""
    *kind, x, start, y, eps, eps_iter, nb_iter, decay, eot = settings
    logits_fn, _, _, descend, _, lazy_classes = kind
    steps, state = _steps(*kind, eps, eps_iter, decay, eot), _first(logits_fn, lazy_classes, start)
    is_fooled = functools.partial(fooled, target_fn, targeted=descend)
    return until_fooled(steps, is_fooled, x, y, state, nb_iter, check_every)


def _first(logits_fn: LogitsFn, lazy_classes: int, start: Tensor) -> State:
    """What a step changes: the images, the velocity, the logits known so far (if lazy)."""
    return start, tf.zeros_like(start), lazy_logits.nothing_known(logits_fn, lazy_classes, start)


def _steps(
    logits_fn: LogitsFn,
    loss_fn: Loss,
    norm: float,
    descend: bool,
    momentum: bool,
    lazy_classes: int,
    eps: Tensor,
    eps_iter: Tensor,
    decay: Tensor,
    eot: Tensor,
) -> Steps:
    """(first step, last step, x, y, state) → state after them, for a batch of any size."""
    evaluate = lazy_logits.evaluator(logits_fn, lazy_classes)

    def one_gradient(i: Tensor, y: Tensor, adversarial: Tensor, known: Tensor) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch(adversarial)
            logits = evaluate(adversarial, y, i, known)
            loss = loss_fn(y, logits)
        gradient = tape.gradient(loss, adversarial, unconnected_gradients="zero")
        return -gradient if descend else gradient, logits if lazy_classes else known

    def mean_gradient(i: Tensor, y: Tensor, adversarial: Tensor, known: Tensor) -> tuple:
        def add(draw: Tensor, total: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            gradient, known = one_gradient(i, y, adversarial, known)
            return draw + 1, total + gradient, known

        _, total, known = tf.while_loop(
            lambda draw, *_: draw < eot,
            add,
            (0, tf.zeros_like(adversarial), known),
            parallel_iterations=1,
        )
        return total / tf.cast(eot, tf.float32), known

    def steps(first: Tensor, last: Tensor, x: Tensor, y: Tensor, state: State) -> State:
        def step(i: Tensor, adversarial: Tensor, velocity: Tensor, known: Tensor) -> tuple:
            gradient, known = mean_gradient(i, y, adversarial, known)
            if momentum:
                axes = list(range(1, x.shape.rank))
                size = tf.reduce_mean(tf.abs(gradient), axes, keepdims=True)
                gradient = velocity = decay * velocity + gradient / tf.maximum(size, 1e-12)
            moved = adversarial + optimize_linear(gradient, eps_iter, norm)
            return i + 1, project(x, moved, eps, norm), velocity, known

        _, *state = tf.while_loop(
            lambda i, *_: i < last, step, (first, *state), parallel_iterations=1
        )
        return tuple(state)

    return steps
