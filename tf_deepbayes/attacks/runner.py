"""Run an attack and score it: never believe an attack."""

import dataclasses
import warnings
from typing import Any

import numpy as np

from tf_deepbayes import metrics
from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.checks import (
    ZERO_GRADIENT_WARNING,
    prediction_changes,
    zero_gradients,
)
from tf_deepbayes.axes import Array, LogitsFn


@dataclasses.dataclass(frozen=True)
class Target:
    """What is attacked, and what is known of it before any attack.

    Attributes:
        images: `[N, H, W, channels]` in [0, 1].
        labels: true classes `[N]`.
        attack_labels: what the attack is called with: the true classes, or the targets.
        targeted: whether `attack_labels` are targets.
        clean_logits: `[N, C]` of one draw of the classifier's noise.
        clean_prediction_changes: share of predictions that another draw changes.
        zero_gradients: share of images where the gradient of the loss is exactly zero.
    """

    images: Array
    labels: Array
    attack_labels: Array
    targeted: bool
    clean_logits: Array
    clean_prediction_changes: float
    zero_gradients: float

    @classmethod
    def of(
        cls,
        logits_fn: LogitsFn,
        x: Array,
        labels: Array,
        targeted: bool = False,
        batch_size: int = 100,
        loss: str = "cross_entropy",
    ) -> "Target":
        """The images, away from their class or (targeted, published layout) towards each other.

        Warns where more than 1% of the images have no gradient.
        """
        clean = metrics.predict(logits_fn, x, batch_size)
        changes = prediction_changes(logits_fn, x, clean.argmax(1), batch_size)
        rows, goals = np.arange(len(x)), labels
        if targeted:
            rows, goals = np.nonzero(np.arange(clean.shape[1])[None] != labels[:, None])
        zero = zero_gradients(
            logits_fn, x[rows], goals, targeted, batch_size, losses.get(loss, targeted)
        ).mean()
        if zero > ZERO_GRADIENT_WARNING:
            warnings.warn(
                f"{zero:.1%} of the images have a gradient of exactly zero: the loss hides the "
                "model's gradient, and a success rate is no measure of robustness",
                stacklevel=2,
            )
        return cls(x[rows], labels[rows], goals, targeted, clean[rows], changes, float(zero))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Adversarial images, the victim's logits on them in a fresh draw, and the figures."""

    adversarial: Array
    logits: Array
    figures: dict[str, Any]


def run(attack: Attack, logits_fn: LogitsFn, target: Target, eps: float) -> Outcome:
    """Attack the target and score it on fresh noise.

    Figures: `success_rate` among the images classified correctly before (targeted: share that
    reaches the target), with its 95% interval; `accuracy` and `error_rate` after the attack (the
    published success rate is this error rate); `clean_accuracy`; `clean_prediction_changes`,
    against which the success rate is to be read; `zero_gradients`; perturbation norms over all
    images and over those now misclassified; mean entropy of p(y|x) in nats.
    """
    adversarial = attack(logits_fn, target.images, target.attack_labels, eps)
    logits = metrics.predict(logits_fn, adversarial, attack.batch_size)
    clean, predicted = target.clean_logits.argmax(1), logits.argmax(1)
    success, trials = _success(target, clean, predicted)
    norms = metrics.perturbation_norms(target.images, adversarial)
    wrong = predicted != target.labels
    figures = {
        "num_images": len(adversarial),
        "success_rate": success,
        "success_rate_interval": metrics.confidence_interval(success, trials),
        "accuracy": metrics.accuracy(predicted, target.labels),
        "error_rate": float(wrong.mean()),
        "clean_accuracy": metrics.accuracy(clean, target.labels),
        "clean_prediction_changes": target.clean_prediction_changes,
        "zero_gradients": target.zero_gradients,
        "perturbation": {name: metrics.summary(values) for name, values in norms.items()},
        "perturbation_of_misclassified": {
            name: metrics.summary(values[wrong]) for name, values in norms.items()
        },
        "entropy": float(metrics.entropy(logits).mean()),
    }
    return Outcome(adversarial, logits, figures)


def _success(target: Target, clean: Array, predicted: Array) -> tuple[float | None, int]:
    """(success rate, number of images it is a share of); None of no image."""
    if target.targeted:
        return float(np.mean(predicted == target.attack_labels)), len(predicted)
    correct = int(np.sum(clean == target.labels))
    return metrics.success_rate(clean, predicted, target.labels), correct
