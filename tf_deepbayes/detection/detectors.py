"""Detectors of adversarial images, on logits only (Li et al. 2019, section 3.2).

A detector is fitted on the logits log p̂(x, y_c) of training images. Its score is high for images
unlike them, and it rejects an image whose score is above the threshold of its predicted class F(x),
which is set for a false-positive rate on the training images.
"""

import abc
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import log_softmax, logsumexp

from tf_deepbayes.core.axes import Array, ArrayLike
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_labels
from tf_deepbayes.detection.thresholds import THRESHOLDS, check_rate, moments

NOT_FITTED = "the detector is not fitted yet; call fit(logits, labels) first"


def _check_logits(logits: ArrayLike, num_classes: int | None = None) -> Array:
    logits = np.asarray(logits)
    if logits.ndim != 2 or not len(logits) or (num_classes and logits.shape[1] != num_classes):
        raise InputError(
            f"logits must be [N, {num_classes or 'C'}] with N of at least 1, got "
            f"{list(logits.shape)}"
        )
    if not np.isfinite(logits).all():
        raise InputError("logits must be finite, got NaN or infinite values; drop those images")
    return logits.astype(np.float64)


class Detector(abc.ABC):
    """Rejects images whose score exceeds the threshold of their predicted class.

    Args:
        threshold: "published" mean + α·std, or "quantile", exact on the training scores.

    Attributes:
        false_positive_rate: the requested rate; before `fit`, None like all attributes below.
        thresholds: `[C]`.
        alphas: `[C]`, (threshold − mean)/std, or 0 where std is 0.
        means: `[C]`, means of the training scores of each class.
        stds: `[C]`, their standard deviations.
        training_rates: `[C]`, the share of those scores that exceeds the threshold.
    """

    needs_density = True  # whether the logits must be log p(x, y), not only log p(y|x) + const
    # Arrays that `fit` sets and a file of thresholds holds.
    fitted_arrays: tuple[str, ...] = ("thresholds", "alphas", "means", "stds", "training_rates")

    def __init__(self, threshold: str = "published") -> None:
        if threshold not in THRESHOLDS:
            raise InputError(f"threshold must be one of {', '.join(THRESHOLDS)}, got {threshold!r}")
        self.threshold = threshold
        self.false_positive_rate: float | None = None
        self.thresholds: Array | None = None
        self.alphas: Array | None = None
        self.means: Array | None = None
        self.stds: Array | None = None
        self.training_rates: Array | None = None

    def __repr__(self) -> str:
        """Its kind and what it was fitted to; the same in every process."""
        fitted = None if self.thresholds is None else self.thresholds.tolist()
        return (
            f"{type(self).__name__}({self.name!r}, {self.threshold!r}, "
            f"false_positive_rate={self.false_positive_rate}, thresholds={fitted})"
        )

    def settings(self) -> dict[str, Any]:
        """Its kind and what it was fitted to, as plain values."""
        return {
            "name": self.name,
            "threshold": self.threshold,
            "false_positive_rate": self.false_positive_rate,
            "thresholds": None if self.thresholds is None else self.thresholds.tolist(),
        }

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Its name in result files."""

    @abc.abstractmethod
    def class_scores(self, logits: Array) -> Array:
        """The score of each image for each class, `[N, C]`."""

    def prepare(self, logits: Array, labels: Array) -> None:  # noqa: B027 (most need nothing)
        """Fit what the score needs, before the thresholds are set."""

    def rows_of_class(self, labels: Array, c: int) -> Array:
        """Which training images set the threshold of class c: those labelled c."""
        return labels == c

    def fit(
        self, logits: ArrayLike, labels: ArrayLike, false_positive_rate: float = 0.05
    ) -> "Detector":
        """Set the thresholds from training logits `[N, C]` and their labels; returns itself.

        The threshold of a class with a single training image is that image's score.

        Raises:
            InputError: a class without training images, logits that are not finite, or a rate
                outside (0, 1).
        """
        logits = _check_logits(logits)
        labels = check_labels(labels, logits.shape[1], len(logits))
        check_rate(false_positive_rate)
        missing = sorted(set(range(logits.shape[1])) - set(labels.tolist()))
        if missing:
            raise InputError(f"no training images of classes {missing}; fit on more images")
        self.prepare(logits, labels)
        scores, fits = self.class_scores(logits), []
        for c in range(logits.shape[1]):
            own = scores[self.rows_of_class(labels, c), c]
            threshold, alpha = THRESHOLDS[self.threshold](own, false_positive_rate)
            fits.append((threshold, alpha, *moments(own), np.mean(own > threshold)))
        self.thresholds, self.alphas, self.means, self.stds, self.training_rates = np.array(fits).T
        self.false_positive_rate = false_positive_rate
        return self

    def score(self, logits: ArrayLike, predicted: ArrayLike | None = None) -> Array:
        """Score of each image for its predicted class, `[N]`, nats; high is suspicious."""
        logits = _check_logits(logits)
        predicted = self._predicted(logits, predicted)
        return self.class_scores(logits)[np.arange(len(logits)), predicted]

    def standard_score(self, logits: ArrayLike, predicted: ArrayLike | None = None) -> Array:
        """(score − mean)/std, mean and std of the predicted class's training scores, `[N]`.

        Comparable across classes: "above α" is the detector whose thresholds are mean + α·std with
        one α for all classes. Where std is 0 the score is only centred.
        """
        if self.means is None or self.stds is None:
            raise InputError(NOT_FITTED)
        logits = _check_logits(logits, len(self.means))
        predicted = self._predicted(logits, predicted)
        scale = np.where(self.stds > 0.0, self.stds, 1.0)
        return (self.score(logits, predicted) - self.means[predicted]) / scale[predicted]

    def reject(self, logits: ArrayLike, predicted: ArrayLike | None = None) -> Array:
        """Whether each image is rejected, `[N]` bool.

        Args:
            logits: `[N, C]`.
            predicted: the class whose threshold applies; argmax of the logits when not given.
        """
        if self.thresholds is None:
            raise InputError(NOT_FITTED)
        logits = _check_logits(logits, len(self.thresholds))
        predicted = self._predicted(logits, predicted)
        return self.score(logits, predicted) > self.thresholds[predicted]

    @staticmethod
    def _predicted(logits: Array, predicted: ArrayLike | None) -> Array:
        if predicted is None:
            return logits.argmax(1)
        return check_labels(predicted, logits.shape[1], len(logits))


class Marginal(Detector):
    """−log p̂(x), p̂(x) = Σ_c p̂(x, y_c), with one threshold."""

    name = "marginal"

    def class_scores(self, logits: Array) -> Array:
        marginal = -logsumexp(logits, axis=1, keepdims=True)
        return np.broadcast_to(marginal, logits.shape)

    def rows_of_class(self, labels: Array, c: int) -> Array:
        return np.ones(len(labels), bool)


class Logit(Detector):
    """−log p̂(x, F(x)), with one threshold per class."""

    name = "logit"

    def class_scores(self, logits: Array) -> Array:
        return -logits


class Divergence(Detector):
    """D[p_c ‖ p(y|x)], c = F(x), p_c the mean p(y|x) of the training images of class c.

    Args:
        divergence: "kl" (published) or "tv", total variation.
    """

    needs_density = False
    fitted_arrays = (*Detector.fitted_arrays, "class_probabilities")

    def __init__(self, divergence: str = "kl", threshold: str = "published") -> None:
        if divergence not in DIVERGENCES:
            names = ", ".join(DIVERGENCES)
            raise InputError(f"divergence must be one of {names}, got {divergence!r}")
        super().__init__(threshold)
        self.divergence = divergence
        self.class_probabilities: Array | None = None  # [C, C], row c is p_c

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name of the divergence."""
        return self.divergence

    def prepare(self, logits: Array, labels: Array) -> None:
        probabilities = np.exp(log_softmax(logits, axis=1))
        classes = range(logits.shape[1])
        self.class_probabilities = np.stack([probabilities[labels == c].mean(0) for c in classes])

    def class_scores(self, logits: Array) -> Array:
        if self.class_probabilities is None:
            raise InputError(NOT_FITTED)
        return DIVERGENCES[self.divergence](self.class_probabilities, log_softmax(logits, axis=1))


def _kl(p: Array, log_q: Array) -> Array:
    """KL[p_c ‖ q_n] in nats, `[N, C]`; 0 · log 0 = 0."""
    negative_entropy = np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=1)
    return negative_entropy - log_q @ p.T


def _total_variation(p: Array, log_q: Array) -> Array:
    """½ Σ |p_c − q_n|, `[N, C]`."""
    return 0.5 * np.abs(p[None] - np.exp(log_q)[:, None]).sum(-1)


DIVERGENCES: dict[str, Callable[[Array, Array], Array]] = {"kl": _kl, "tv": _total_variation}
