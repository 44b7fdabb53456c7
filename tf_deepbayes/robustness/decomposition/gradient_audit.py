"""Whether the gradients that attacks follow are those of the loss, and how noisy they are."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.access import in_float32
from tf_deepbayes.attacks.loss_gradient import compiled_loss_gradient
from tf_deepbayes.core.axes import Array, LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError

STEP_32, STEP_64 = 1e-2, 1e-5  # l2 lengths of the steps of a finite difference, in pixels
AGREES = 0.1  # relative difference of a derivative that agrees
GOAL = 0.9  # cosine between averaged gradients that is called steady


def in_float64(model: Any) -> LogitsFn | None:
    """A Keras model computed in float64; None where it cannot be rebuilt."""
    if not isinstance(model, keras.Model) or not model.built:
        return None

    def rebuilt(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config(layer.get_config() | {"dtype": "float64"})

    try:
        # With an input of its own, or the images would be rounded to float32 on their way in.
        given = keras.Input(batch_shape=model.input_shape, dtype="float64")
        copy = keras.models.clone_model(model, input_tensors=given, clone_function=rebuilt)
        copy.set_weights(model.get_weights())
    except (TypeError, ValueError, AttributeError, NotImplementedError, RuntimeError):
        return None
    return lambda x: copy(tf.cast(x, tf.float64), training=False)


def directional_derivatives(
    logits_fn: LogitsFn, x: Array, y: Array, exact: LogitsFn | None = None
) -> dict[str, Any]:
    """∇ℓ·u against (ℓ(x + hu) − ℓ(x − hu)) / 2h for u = ∇ℓ/|∇ℓ|, ℓ the log odds.

    Args:
        logits_fn: without noise, or with the same noise at every call.
        exact: the same function in float64, for the differences.

    Returns:
        `agree`, the share of images where both differ by less than 10%; `median_error`, relative;
        `precision` of the differences; shares are None where no image has a gradient.
    """
    images, labels = tf.constant(x), tf.constant(y)
    gradient = compiled_loss_gradient(losses.log_odds, logits_fn, images, labels).numpy()
    size = np.sqrt(np.square(gradient, dtype=np.float64).sum((1, 2, 3)))
    has = size > 0.0
    figures: dict[str, Any] = {"precision": "float32" if exact is None else "float64"}
    if not has.any():
        return figures | {"agree": None, "median_error": None}
    step = STEP_32 if exact is None else STEP_64
    direction = gradient / np.maximum(size, 1e-300)[:, None, None, None]
    function, dtype = (in_float32(logits_fn), np.float32) if exact is None else (exact, np.float64)
    points = [(x + sign * step * direction).astype(dtype) for sign in (1.0, -1.0)]
    both = [_log_odds(function, point, labels) for point in points]
    found = (both[0] - both[1]) / (2.0 * step)
    error = np.abs(found - size)[has] / size[has]
    agree, median = float(np.mean(error < AGREES)), float(np.median(error))
    return figures | {"agree": agree, "median_error": median}


def _log_odds(function: LogitsFn, x: Array, labels: Tensor) -> Array:
    """In the precision of the function's answer."""
    values = function(tf.constant(x))
    return losses.log_odds(labels, values).numpy().astype(np.float64)


def cosine_between_draws(logits_fn: LogitsFn, x: Array, y: Array, draws: int) -> Array:
    """The cosine between the gradients of two draws of the noise, `[N]`; NaN without a gradient.

    (mean of g_i·g_j over pairs of draws) / (mean of |g_i|²): of gradients with mean μ and variance
    σ² it estimates |μ|² / (|μ|² + σ²), whatever their lengths.
    """
    found = np.stack(
        [
            compiled_loss_gradient(losses.log_odds, logits_fn, tf.constant(x), tf.constant(y))
            for _ in range(draws)
        ]
    ).astype(np.float64)
    flat = found.reshape(draws, len(x), -1)
    squares = np.square(flat).sum(-1).sum(0)
    pairs = np.square(flat.sum(0)).sum(-1) - squares
    with np.errstate(invalid="ignore", divide="ignore"):
        return pairs / (draws - 1) / squares


def smallest_eot(cosine: float, goal: float = GOAL) -> float:
    """Draws to average so that two averaged gradients have that cosine: whole, or ∞.

    Averages of n draws have the cosine nρ / (1 + (n − 1)ρ), ρ that of single draws.
    """
    if not cosine > 0.0:
        return float("inf")
    needed = goal * (1.0 - cosine) / (cosine * (1.0 - goal))
    return float(max(np.ceil(needed - 1e-9), 1.0))


def of_noise(sources: dict[int, LogitsFn], x: Array, y: Array, draws: int) -> list[dict[str, Any]]:
    """A row for each K: the median cosine over images, and the smallest EOT for .9 there."""
    if draws < 2:
        raise InputError(f"gradients must be a whole number of at least 2, got {draws}")
    rows = []
    for num_samples, logits_fn in sources.items():
        cosines = cosine_between_draws(logits_fn, x, y, draws)
        known = cosines[np.isfinite(cosines)]
        median = float(np.median(known)) if len(known) else None
        eot = None if median is None else smallest_eot(median)
        finite = eot if eot is not None and np.isfinite(eot) else None
        rows.append({"K": num_samples, "cosine": median, "smallest_eot": finite})
    return rows
