"""Steps down a loss that is given labels and goals, of which the last good iterate is kept."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks.ball import project
from tf_deepbayes.attacks.tracing import compiled_per_function
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.detection.frozen import FrozenDetector
from tf_deepbayes.detection.graph_scores import CLASS_SCORES

# (labels [B], goals [B, …], what the attack sees) → loss of each image [B], to be descended
GoalLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


class DescentRule(NamedTuple):
    """What a step does. Python values: new values mean a new trace.

    Attributes:
        loss: equal for equal attacks.
        takes_labels: the function seen is called with the labels, too.
        keeps: the last iterate that is misclassified and passes the detector is kept; else the
            last iterate.
        detector: a fitted one, as it was when the attack began; None: every image passes.
    """

    loss: GoalLoss
    takes_labels: bool
    keeps: bool
    detector: FrozenDetector | None


class DescentSizes(NamedTuple):
    """The numbers of the steps. Tensors: new values need no new trace."""

    eps: Tensor
    eps_iter: Tensor
    nb_iter: Tensor
    check_every: Tensor


@compiled_per_function(2, 3)
def descend(  # type: ignore[no-untyped-def]
    rule: DescentRule,
    sizes: DescentSizes,
    function: Callable[..., Tensor],
    target_fn: LogitsFn,
    x,
    start,
    y,
    goals,
):
    """The attacked images of a batch of clean images x `[B, …]`, labels `[B]`, goals `[B, …]`.

    An iterate is judged before its step, each time on fresh noise; a later good one replaces an
    earlier one, and an image without any comes back clean. Of N iterates the last takes no step.
    """

    detector = None if rule.detector is None else rule.detector.detector

    def step(i: Tensor, now: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if rule.keeps:
            is_good = tf.cond(
                i % sizes.check_every == 0,
                lambda: good(target_fn(now), y, detector),
                lambda: tf.zeros_like(y, tf.bool),
            )
            kept = tf.where(is_good[:, None, None, None], now, kept)
        with tf.GradientTape() as tape:
            tape.watch(now)
            seen = function(now, y) if rule.takes_labels else function(now)
            loss = rule.loss(y, goals, seen)
        gradient = tape.gradient(loss, now, unconnected_gradients="zero")
        moved = now - sizes.eps_iter * tf.sign(tf.ensure_shape(gradient, now.shape))
        following = project(x, moved, sizes.eps, np.inf)
        return i + 1, tf.where(i + 1 < sizes.nb_iter, following, now), kept

    _, last, kept = tf.while_loop(
        lambda i, *_: i < sizes.nb_iter, step, (0, start, x), parallel_iterations=1
    )
    return kept if rule.keeps else last


def good(logits: Tensor, y: Tensor, detector: Detector | None) -> Tensor:
    """Whether each image is misclassified and passes the detector, by logits `[B, C]` → `[B]`."""
    predicted = tf.argmax(logits, 1)
    wrong = tf.not_equal(predicted, tf.cast(y, tf.int64))
    if detector is None:
        return wrong
    scores = CLASS_SCORES[detector.name](detector, tf.cast(logits, tf.float64))
    score = tf.gather(scores, predicted, axis=1, batch_dims=1)
    threshold = tf.gather(tf.constant(detector.thresholds, tf.float64), predicted)
    return wrong & (score <= threshold)
