"""Metrics of a classifier and of an attack on it."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array, LogitsFn
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.progress import progress
from tf_deepbayes.core.validation import check_count, check_labels

SUM_TOLERANCE = 1e-3  # of probabilities, in whatever precision they were computed
NORMAL_95 = 1.959964  # a normal variable lies within so many standard deviations with 95%


def predict(
    logits_fn: LogitsFn, x: Array, batch_size: int = 100, label: str | None = None
) -> Array:
    """Logits `[N, C]` of `[N, …]`, batch by batch; a short last batch is padded, one trace.

    They are float32 whatever the networks compute in. With a label, the progress is shown on a
    terminal.
    """
    if not len(x):
        raise InputError("expected at least one image, got none")
    batches: Iterable[tuple[tf.Tensor, int]] = padded(x, batch_size)
    if label is not None:
        batches = progress(batches, -(-len(x) // batch_size), f"{label}, batches")
    answers = [tf.cast(logits_fn(part), tf.float32).numpy()[:size] for part, size in batches]
    return np.concatenate(answers)


def padded(x: Array, batch_size: int) -> list[tuple[tf.Tensor, int]]:
    """Batches of exactly min(batch_size, N) rows and how many of each are real."""
    if not len(x):
        return []
    size = min(check_count("batch_size", batch_size), len(x))
    parts = [x[start : start + size] for start in range(0, len(x), size)]
    short = size - len(parts[-1])
    filled = [*parts[:-1], np.concatenate([parts[-1], np.repeat(x[:1], short, axis=0)])]
    return [(tf.constant(whole), len(part)) for whole, part in zip(filled, parts, strict=True)]


def accuracy(predicted: Array, labels: Array) -> float:
    """Share of predictions `[N]` that equal the label."""
    return float(np.mean(predicted == check_labels(labels, count=len(predicted))))


def perturbation_norms(x: Array, adversarial: Array) -> dict[str, Array]:
    """l0 (changed values), l2 and l∞ of each perturbation, `[N]` each."""
    difference = (adversarial - x).reshape(len(x), -1).astype(np.float64)
    return {
        "l0": np.count_nonzero(difference, axis=1),
        "l2": np.sqrt(np.square(difference).sum(1)),
        "linf": np.abs(difference).max(1),
    }


def confidence_interval(share: float | None, count: int) -> tuple[float, float] | None:
    """95% Wilson interval of a share observed on `count` images; None without any.

    It ends at exactly 0 for a share of 0 and at exactly 1 for a share of 1.
    """
    if not count or share is None:
        return None
    z, share = NORMAL_95, min(max(share, 0.0), 1.0)  # a mean can be 1 + 2e-16
    centre = share + z * z / (2 * count)
    spread = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    low = float((centre - spread) / scale) if share > 0.0 else 0.0
    high = float((centre + spread) / scale) if share < 1.0 else 1.0
    return max(low, 0.0), min(high, 1.0)


def are_probabilities(values: Array) -> bool:
    """Whether rows `[N, C]` lie in [0, 1] and sum to 1: a softmax's outputs, not logits."""
    inside = (values >= 0).all() and (values <= 1 + SUM_TOLERANCE).all()
    return bool(inside and (np.abs(values.sum(-1) - 1.0) < SUM_TOLERANCE).all())


def check_no_probabilities(values: Array) -> None:
    """InputError where `[N, C]` are a softmax's outputs instead of logits."""
    if are_probabilities(values):
        raise InputError(
            "the classifier's outputs lie in [0, 1] and sum to 1: they are probabilities, and "
            'attacking them as logits would hide the gradient; pass outputs="probabilities"'
        )


def entropy(logits: Array) -> Array:
    """Entropy of softmax(logits), nats, `[N]`."""
    log_p = tf.nn.log_softmax(tf.constant(logits), axis=-1).numpy()
    return -np.sum(np.exp(log_p) * log_p, axis=-1)


def summary(values: Array) -> dict[str, Any]:
    """Mean, standard deviation and maximum, for a JSON file."""
    if not len(values):
        return {"mean": None, "std": None, "max": None}
    return {"mean": float(values.mean()), "std": float(values.std()), "max": float(values.max())}
