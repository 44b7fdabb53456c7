"""The detectors of `detectors` as TensorFlow graphs, with the fitted values inside.

They compute in float64 like the originals, so both reject the same images.
"""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.detection.detectors import NOT_FITTED, Detector, Divergence


def _marginal(detector: Detector, logits: Tensor) -> Tensor:
    marginal = -tf.reduce_logsumexp(logits, axis=1, keepdims=True)
    return tf.broadcast_to(marginal, tf.shape(logits))


def _logit(detector: Detector, logits: Tensor) -> Tensor:
    return -logits


def _kl(detector: Divergence, logits: Tensor) -> Tensor:
    p = np.asarray(detector.class_probabilities)
    negative_entropy = np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=1)
    return negative_entropy - tf.matmul(tf.nn.log_softmax(logits), p, transpose_b=True)


def _total_variation(detector: Divergence, logits: Tensor) -> Tensor:
    difference = detector.class_probabilities - tf.nn.softmax(logits)[:, None]
    return 0.5 * tf.reduce_sum(tf.abs(difference), axis=-1)


# Detector's name → (detector, float64 logits `[B, C]`) → the score of each image for each class
# `[B, C]`, as in `Detector.class_scores`; attacks differentiate it, exported models serve it.
CLASS_SCORES: dict[str, Callable[..., Tensor]] = {
    "marginal": _marginal,
    "logit": _logit,
    "kl": _kl,
    "tv": _total_variation,
}


def detect(detectors: Mapping[str, Detector], logits: Tensor) -> dict[str, Tensor]:
    """The decisions of fitted detectors on logits `[B, C]`.

    Returns:
        "class" int64; for each detector "<name>_accept" bool, "<name>_score" and the
        "<name>_threshold" of that class, float64; all `[B]`. A score that is NaN is not accepted.
    """
    predicted = tf.argmax(logits, axis=1)
    outputs = {"class": predicted}
    for name, detector in detectors.items():
        if detector.thresholds is None:
            raise InputError(NOT_FITTED)
        class_scores = CLASS_SCORES[name](detector, tf.cast(logits, tf.float64))
        score = tf.gather(class_scores, predicted, axis=1, batch_dims=1)
        threshold = tf.gather(tf.constant(detector.thresholds, tf.float64), predicted)
        outputs[f"{name}_accept"] = score <= threshold
        outputs[f"{name}_score"], outputs[f"{name}_threshold"] = score, threshold
    return outputs
