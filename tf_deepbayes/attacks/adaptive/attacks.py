"""Attacks on the head p(y|z) and on features (Tramèr et al. 2020, section on generative models).

The head is the network of p(y|z), l ∈ ℝ^C its outputs before the softmax, at K draws of
z ~ q(z|f(x′), y) with y the true class. Full logits differ by so many nats that cross-entropy has
little gradient; l has it everywhere.
"""

import abc
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.attacks.adaptive.kept_iterate import (
    DescentRule,
    DescentSizes,
    GoalLoss,
    descend,
)
from tf_deepbayes.attacks.adaptive.targets import Targets
from tf_deepbayes.attacks.ball import image_seeds, project, uniform_in_ball
from tf_deepbayes.attacks.base import Attack, AttackedBatch
from tf_deepbayes.core.axes import Array, LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_not_negative, check_positive
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.detection.frozen import FrozenDetector


@dataclasses.dataclass(frozen=True)
class Descent(Attack, abc.ABC):
    """Steps of step_factor · ε / nb_iter down the sign of a gradient in the l∞ ball.

    Attributes:
        nb_iter: iterates; the last takes no step, as in the source.
        step_factor: of the size of a step; 4 in the source.
        seed: seed of the random start, uniform in the ball.
    """

    keeps: ClassVar[bool] = False
    nb_iter: int = 200
    step_factor: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("nb_iter", self.nb_iter)
        check_positive("step_factor", self.step_factor)
        if self.targeted:
            raise InputError(f"{self.name} has targets of its own; leave out targeted")

    @abc.abstractmethod
    def loss_fn(self) -> GoalLoss:
        """(labels, goals, what the attack sees) → loss `[B]`, descended."""

    @abc.abstractmethod
    def goals(self, function: Callable[..., Tensor], y: Tensor) -> Tensor:
        """What each image of classes y `[B]` is to look like, `[B, …]`."""

    def target_of(self, classifier: Any) -> LogitsFn | None:
        """The logits by which iterates are judged, where the classifier has them."""
        is_model = isinstance(classifier, ModelAccess) or hasattr(classifier, "log_weights")
        known = is_model or hasattr(classifier, "access")
        return ModelAccess.of(classifier).logits if known else None

    def parts(
        self,
        logits_fn: LogitsFn,
        x: Array,
        labels: Array,
        eps: float,
        target_fn: LogitsFn | None = None,
    ) -> Iterator[Callable[[], AttackedBatch]]:
        """See `Attack.parts`.

        Raises:
            InputError: there is nobody to judge iterates that are to be judged.
        """
        if target_fn is None and self.keeps:
            raise InputError(
                f"{type(self).__name__} judges its iterates by the classifier's logits; give the "
                "classifier itself, not one of its functions"
            )
        return super().parts(logits_fn, x, labels, eps, target_fn)

    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return self.attack_batch(logits_fn, logits_fn, x, y, eps).images

    def attack_batch(
        self, logits_fn: LogitsFn, target_fn: LogitsFn, x: Tensor, y: Tensor, eps: float
    ) -> AttackedBatch:
        """See `Attack.attack_batch`."""
        seeds = image_seeds(x, self.seed)
        start = project(x, x + uniform_in_ball(seeds, x.shape[1:], eps, np.inf), eps, np.inf)
        detector = FrozenDetector.of(getattr(self, "detector", None))
        rule = DescentRule(self.loss_fn(), self.uses == "label_logits", self.keeps, detector)
        numbers = eps, self.step_factor * eps / self.nb_iter
        counts = self.nb_iter, getattr(self, "check_every", 1)
        sizes = DescentSizes(
            *(tf.constant(number, tf.float32) for number in numbers), *map(tf.constant, counts)
        )
        goals = self.goals(logits_fn, y)
        return AttackedBatch(descend(rule, sizes, logits_fn, target_fn, x, start, y, goals))


@dataclasses.dataclass(frozen=True)
class HeadLogit(Descent):
    """Down mean_k l_true, the true class's logit of the head; K = 100."""

    name: ClassVar[str] = "head_logit"
    uses: ClassVar[str] = "label_logits"

    def loss_fn(self) -> GoalLoss:
        """See `Descent.loss_fn`."""
        return true_logit

    def goals(self, function: Callable[..., Tensor], y: Tensor) -> Tensor:
        """Nothing, `[B, 0]`."""
        return tf.zeros([tf.shape(y)[0], 0])


@dataclasses.dataclass(frozen=True)
class Imitation(Descent, abc.ABC):
    """A descent towards one of two clean images.

    The last iterate that was misclassified and passed the detector is kept.

    Attributes:
        targets: the images; None: chosen among those attacked where a run is attacked.
        detector: that has to be passed, a fitted one; None: every image passes.
        check_every: steps between judgements of the iterate; 1 in the source.
    """

    keeps: ClassVar[bool] = True
    targets: Targets | None = None
    detector: Detector | None = None
    check_every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("check_every", self.check_every)
        if not isinstance(self.targets, Targets | None):
            raise InputError(f"targets must be Targets, got {type(self.targets).__name__}")

    def goals(self, function: Callable[..., Tensor], y: Tensor) -> Tensor:
        """See `Descent.goals`."""
        if self.targets is None:
            raise InputError(f"{type(self).__name__} needs two images to imitate; give it targets")
        values = tf.cast(self.seen(function, self.targets), tf.float32)
        return self.targets.of(values, y)

    @abc.abstractmethod
    def seen(self, function: Callable[..., Tensor], targets: Targets) -> Tensor:
        """What the attack sees of both targets, `[2, …]`."""


@dataclasses.dataclass(frozen=True)
class ImitateHead(Imitation):
    """Down mean_k [Σ_c (l_c − t_c)² + w l_true], t one draw of l of a target at its true class.

    Attributes:
        true_logit_weight: w; 10 in the source, where a mean over the batch is added to every one
            of ten classes before the sum.
    """

    name: ClassVar[str] = "imitate_head"
    uses: ClassVar[str] = "label_logits"
    true_logit_weight: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative("true_logit_weight", self.true_logit_weight)

    def loss_fn(self) -> GoalLoss:
        """See `Descent.loss_fn`."""
        return HeadDistance(self.true_logit_weight)  # type: ignore[return-value]

    def seen(self, function: Callable[..., Tensor], targets: Targets) -> Tensor:
        """See `Imitation.seen`."""
        return function(tf.constant(targets.images), tf.constant(targets.labels))[0]


@dataclasses.dataclass(frozen=True)
class ImitateFeatures(Imitation):
    """Down Σ (f(x′) − f(g))², f the features and g the target."""

    name: ClassVar[str] = "imitate_features"
    uses: ClassVar[str] = "features"

    def loss_fn(self) -> GoalLoss:
        """See `Descent.loss_fn`."""
        return feature_distance

    def seen(self, function: Callable[..., Tensor], targets: Targets) -> Tensor:
        """See `Imitation.seen`."""
        return function(tf.constant(targets.images))


def true_logit(y: Tensor, goals: Tensor, head: Tensor) -> Tensor:
    """mean_k l_true of head logits `[K, B, C]` → `[B]`."""
    return tf.reduce_mean(_own(y, head), 0)


def _own(y: Tensor, head: Tensor) -> Tensor:
    """l_true of `[K, B, C]` → `[K, B]`."""
    return tf.reduce_sum(head * tf.one_hot(y, tf.shape(head)[2]), 2)


class HeadDistance(NamedTuple):
    """mean_k [Σ_c (l_c − t_c)² + weight · l_true] → `[B]`; equal for equal weights."""

    weight: float

    def __call__(self, y: Tensor, goals: Tensor, head: Tensor) -> Tensor:
        """`[B]`."""
        squares = tf.reduce_sum(tf.square(head - goals), 2)
        return tf.reduce_mean(squares + self.weight * _own(y, head), 0)


def feature_distance(y: Tensor, goals: Tensor, features: Tensor) -> Tensor:
    """Σ (f − goal)² of `[B, …]` → `[B]`."""
    squares = tf.square(features - goals)
    return tf.reduce_sum(tf.reshape(squares, [tf.shape(squares)[0], -1]), 1)
