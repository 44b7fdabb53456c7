"""Scores of an attack, on several draws of fresh noise: never believe an attack."""

import dataclasses
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.gradient_checks import ZERO_GRADIENT_WARNING, zero_gradients
from tf_deepbayes.attacks.tracing import compiled_per_function
from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array, LogitsFn, LogWeightsFn, logits_of, significant
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_labels, check_pixels

# A success rate varies by a few points between draws at K = 10; five draws show by how much.
EVAL_DRAWS = 5


def draw_logits(logits_fn: LogitsFn, x: Array, draws: int, batch_size: int) -> Array:
    """Logits in `draws` draws of the noise, `[R, N, C]`; InputError when they are not finite."""
    found = np.stack([metrics.predict(logits_fn, x, batch_size) for _ in range(draws)])
    if not np.isfinite(found).all():
        bad = int((~np.isfinite(found)).any((0, 2)).sum())
        raise InputError(
            f"the classifier's logits are not finite on {bad} of {len(x)} images; train it again, "
            "or leave those images out"
        )
    return found


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """The images to attack, and what is known about them before any attack.

    Attributes:
        images: `[N, H, W, channels]` in [0, 1].
        labels: true classes `[N]`.
        attack_labels: the labels given to the attack: the true classes, or the targets.
        targeted: whether `attack_labels` are targets.
        clean_logits: `[N, C]`, in one draw of the classifier's noise.
        clean_predicted: the classes in that draw and in `draws` others, `[1 + R, N]`.
        clean_prediction_changes: share of predictions that change in another draw.
        draws: draws of noise that an attack is scored on.
        logits_fn: the classifier to be fooled.
        indices: index of each image in the test set, `[N]`.
    """

    images: Array
    labels: Array
    attack_labels: Array
    targeted: bool
    clean_logits: Array
    clean_predicted: Array
    clean_prediction_changes: float
    draws: int
    logits_fn: LogitsFn
    indices: Array

    @classmethod
    def of(
        cls,
        logits_fn: LogitsFn,
        x: Array,
        labels: Array,
        targeted: bool = False,
        batch_size: int = 100,
        draws: int = EVAL_DRAWS,
        indices: Array | None = None,
    ) -> "EvaluationSet":
        """The images, to move away from their class or (targeted, as published) to every other.

        Args:
            indices: their indices in the test set; 0 … N − 1 when None.

        Raises:
            InputError: pixels outside [0, 1], labels that do not fit them, or a classifier that
                returns probabilities.
        """
        x = check_pixels(x)
        clean = draw_logits(logits_fn, x, 1 + check_count("draws", draws), batch_size)
        metrics.check_no_probabilities(clean[0])
        predicted, labels = clean.argmax(-1), check_labels(labels, clean.shape[-1], len(x))
        rows, goals = attack_rows(labels, clean.shape[-1], targeted)
        changes = float(np.mean(predicted[1:] != predicted[:1]))
        numbers = rows if indices is None else indices[rows]
        return cls(
            *(x[rows], labels[rows], goals, targeted, clean[0, rows], predicted[:, rows], changes),
            *(draws, logits_fn, numbers),
        )

    def first(self, count: int) -> "EvaluationSet":
        """The first `count` rows."""
        return self.take(slice(count))

    def take(self, rows: Array | slice) -> "EvaluationSet":
        """Some of the rows."""
        names = ("images", "labels", "attack_labels", "clean_logits", "indices")
        few = {name: getattr(self, name)[rows] for name in names}
        return dataclasses.replace(self, **few, clean_predicted=self.clean_predicted[:, rows])

    @property
    def counted(self) -> Array:
        """Whether each row counts in a success rate, bool `[N]`: it was right before the attack.

        Targeted: every row counts.
        """
        if self.targeted:
            return np.ones(len(self.labels), bool)
        return self.clean_logits.argmax(1) == self.labels


def attack_rows(labels: Array, num_classes: int, targeted: bool) -> tuple[Array, Array]:
    """(the image of each row, the label given to the attack): its class, or every other one."""
    if targeted:
        rows, goals = np.nonzero(np.arange(num_classes)[None] != labels[:, None])
        return rows, goals
    return np.arange(len(labels)), labels


def zero_gradient_share(logits_fn: LogitsFn, target: EvaluationSet, attack: Attack) -> float:
    """Share of images where the attack's loss has a gradient of exactly zero; warns above 1%.

    If the attack has no loss of its own, the loss is cross-entropy.
    """
    loss_fn = losses.get(getattr(attack, "loss", "cross_entropy"), target.targeted)
    images, labels = target.images, target.attack_labels
    zero = zero_gradients(logits_fn, images, labels, attack.batch_size, loss_fn)
    share = float(zero.mean())
    if share > ZERO_GRADIENT_WARNING:
        warnings.warn(
            f"{share:.1%} of the images have a gradient of exactly zero: the loss hides the "
            "model's gradient, and a success rate does not measure robustness",
            stacklevel=2,
        )
    return share


def significant_share(
    log_weights_fn: LogWeightsFn, target: EvaluationSet, adversarial: Array, attack: Attack
) -> float:
    """Share of the terms (sample, class) that are significant for the attack's loss gradient.

    The cost of a gradient grows with it, see `axes.significant`. It is measured at the attacked
    images; if the attack has no loss of its own, the loss is cross-entropy.
    """
    loss_fn = losses.get(getattr(attack, "loss", "cross_entropy"), target.targeted)
    counts = [
        _counts(log_weights_fn, loss_fn, x, labels).numpy()[..., :size]
        for (x, size), (labels, _) in zip(
            metrics.padded(adversarial, attack.batch_size),
            metrics.padded(target.attack_labels, attack.batch_size),
            strict=True,
        )
    ]
    return float(np.concatenate(counts, axis=-1).mean())


@compiled_per_function(0)
def _counts(log_weights_fn, loss_fn, x, labels):  # type: ignore[no-untyped-def]
    """Whether each term is significant, `[K, C, B]`."""
    log_w = log_weights_fn(x)
    with tf.GradientTape() as tape:
        tape.watch(log_w)
        loss = loss_fn(labels, logits_of(log_w))
    return significant(tape.gradient(loss, log_w))


def success(target: EvaluationSet, logits: Array) -> Array:
    """Whether each image succeeds in each draw, bool `[R, N]`; logits `[R, N, C]`."""
    predicted = logits.argmax(-1)
    return (predicted == target.attack_labels) if target.targeted else predicted != target.labels


def score(target: EvaluationSet, adversarial: Array, logits: Array) -> dict[str, Any]:
    """The figures of attacked images `[N, …]` with logits `[R, N, C]` in R fresh draws.

    `success_rate` among the images classified correctly before (targeted: the share of all images
    that reaches the target), averaged over the draws, with its 95% interval over images, its
    smallest and largest value over the draws, and the shares of images that succeed in every draw
    and in any draw; `accuracy` and `error_rate` after the attack (the published success rate is
    this error rate); `clean_accuracy`; `clean_prediction_changes`, the baseline for a success
    rate; perturbation norms over all images and over those now misclassified; mean entropy of
    p(y|x) in nats.
    """
    clean = target.clean_logits.argmax(1)
    wins = success(target, logits)[:, target.counted]
    rate = float(wins.mean()) if wins.size else None
    wrong = logits.argmax(-1) != target.labels
    norms = metrics.perturbation_norms(target.images, adversarial)
    return {
        "num_images": len(adversarial),
        "draws": len(logits),
        "success_rate": rate,
        "success_rate_interval": metrics.confidence_interval(rate, wins.shape[1]),
        "success_rate_of_draws": _range(wins.mean(1)) if wins.size else None,
        "success_in_every_draw": float(wins.all(0).mean()) if wins.size else None,
        "success_in_any_draw": float(wins.any(0).mean()) if wins.size else None,
        "accuracy": float(1.0 - wrong.mean()),
        "error_rate": float(wrong.mean()),
        "clean_accuracy": metrics.accuracy(clean, target.labels),
        "clean_prediction_changes": target.clean_prediction_changes,
        "perturbation": {name: metrics.summary(values) for name, values in norms.items()},
        "perturbation_of_misclassified": {
            name: metrics.summary(values[wrong[0]]) for name, values in norms.items()
        },
        "entropy": float(metrics.entropy(logits[0]).mean()),
    }


def _range(values: Array) -> tuple[float, float]:
    return float(values.min()), float(values.max())
