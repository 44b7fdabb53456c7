"""Run an attack and score it: never believe an attack, score it on fresh noise."""

import dataclasses
import warnings
from typing import Any

import numpy as np

from tf_deepbayes import metrics
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.checks import (
    ZERO_GRADIENT_WARNING,
    prediction_changes,
    zero_gradients,
)
from tf_deepbayes.axes import Array, LogitsFn


@dataclasses.dataclass(frozen=True)
class Target:
    """What is attacked: images with true labels, the logits of the clean images, the labels given.

    Attributes:
        labels: true classes `[N]`.
        attack_labels: what the attack is called with: the true classes, or the targets.
        clean_logits: `[N, C]` of one draw of the classifier's noise.
    """

    images: Array
    labels: Array
    attack_labels: Array
    clean_logits: Array

    @classmethod
    def untargeted(cls, logits_fn: LogitsFn, x: Array, labels: Array, batch_size: int) -> "Target":
        """Away from the true class."""
        return cls(x, labels, labels, metrics.predict(logits_fn, x, batch_size))

    @classmethod
    def all_targets(cls, logits_fn: LogitsFn, x: Array, labels: Array, batch_size: int) -> "Target":
        """Every image towards each other class in turn, image by image (published layout)."""
        clean = metrics.predict(logits_fn, x, batch_size)
        rows, targets = np.nonzero(np.arange(clean.shape[1])[None] != labels[:, None])
        return cls(x[rows], labels[rows], targets, clean[rows])


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Adversarial images, the victim's logits on them in a fresh draw, and the figures."""

    adversarial: Array
    logits: Array
    figures: dict[str, Any]


def run(attack: Attack, logits_fn: LogitsFn, target: Target, eps: float) -> Outcome:
    """Attack the target and measure.

    Figures: `success_rate` among the images classified correctly before (targeted: share that
    reaches the target), with its 95% interval; `accuracy` and `error_rate` after the attack (the
    published success rate is this error rate); `clean_accuracy`;
    `clean_prediction_changes` between two draws, against which the success rate is to be read;
    `zero_gradients`, share of images whose gradient is exactly zero; perturbation norms over the
    images now misclassified and over all; mean entropy of p(y|x).
    """
    size = attack.batch_size
    adversarial = attack(logits_fn, target.images, target.attack_labels, eps)
    logits = metrics.predict(logits_fn, adversarial, size)
    clean, predicted = target.clean_logits.argmax(1), logits.argmax(1)
    if attack.targeted:
        reached = predicted == target.attack_labels
        success, trials = float(reached.mean()), len(reached)
    else:
        success = metrics.success_rate(clean, predicted, target.labels)
        trials = int(np.sum(clean == target.labels))
    zero = zero_gradients(
        logits_fn, target.images, target.attack_labels, attack.targeted, size
    ).mean()
    if zero > ZERO_GRADIENT_WARNING:
        warnings.warn(
            f"{zero:.1%} of the images have a gradient of exactly zero: the loss hides the "
            "model's gradient, and the success rate is no measure of robustness",
            stacklevel=2,
        )
    norms = metrics.perturbation_norms(target.images, adversarial)
    wrong = predicted != target.labels
    figures = {
        "num_images": len(adversarial),
        "success_rate": None if np.isnan(success) else success,
        "success_rate_interval": metrics.confidence_interval(success, trials),
        "accuracy": metrics.accuracy(predicted, target.labels),
        "error_rate": float(wrong.mean()),
        "clean_accuracy": metrics.accuracy(clean, target.labels),
        "clean_prediction_changes": prediction_changes(logits_fn, target.images, clean, size),
        "zero_gradients": float(zero),
        "perturbation": {name: metrics.summary(values) for name, values in norms.items()},
        "perturbation_of_misclassified": {
            name: metrics.summary(values[wrong]) for name, values in norms.items()
        },
        "entropy": float(metrics.entropy(logits).mean()),
    }
    return Outcome(adversarial, logits, figures)
