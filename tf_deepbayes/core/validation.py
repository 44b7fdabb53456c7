"""Checks of arguments: each error says what was expected, what was given, what to do."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array, ArrayLike, Tensor
from tf_deepbayes.core.errors import InputError

ROUNDING = 1e-6  # beyond [0, 1], in pixels: a few float32 steps, which resizing and scaling leave
MAX_COUNT = 2**31 - 1  # what TensorFlow's 32-bit numbers hold


def check_count(name: str, value: int, minimum: int = 1) -> int:
    """A whole number from `minimum` to `MAX_COUNT`."""
    is_whole = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (is_whole and minimum <= value <= MAX_COUNT and int(value) == value):
        limit = f"of at least {minimum}" if not is_whole or value <= MAX_COUNT else "up to 2³¹ − 1"
        raise InputError(f"{name} must be a whole number {limit}, got {value}")
    return int(value)


def check_positive(name: str, value: float) -> None:
    """A finite number above 0."""
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a finite number above 0, got {value}")


def check_eps(eps: float) -> float:
    """A perturbation size: finite and not negative."""
    if not np.isfinite(eps) or eps < 0:
        raise InputError(f"eps must be a finite number of at least 0, got {eps}")
    return float(eps)


def check_inputs(x: ArrayLike, input_shape: Sequence[int]) -> Tensor:
    """A floating batch `[B, *input_shape]` as float32; NaN and byte-valued pixels are refused.

    Values are checked only in eager calls. Pixels may leave [0, 1] by at most 1, as an l∞
    perturbation can before it is clipped.
    """
    x = tf.convert_to_tensor(x)
    shape = "[B, " + ", ".join(map(str, input_shape)) + "]"
    if not x.dtype.is_floating:
        raise InputError(
            f"x must be floating point with pixels in [0, 1], got {x.dtype.name}; "
            "cast it to float32 and divide bytes by 255"
        )
    if x.shape.rank != len(input_shape) + 1 or not x.shape[1:].is_compatible_with(
        tf.TensorShape(list(input_shape))
    ):
        raise InputError(f"x must have shape {shape}, got {list(x.shape)}; reshape it first")
    x = tf.cast(x, tf.float32)
    if tf.executing_eagerly() and x.shape[0]:
        _check_values(x.numpy(), is_image=len(input_shape) == 3)
    return x


def _check_values(x: Array, is_image: bool) -> None:
    if not np.isfinite(x).all():
        raise InputError(
            f"x must be finite, got {np.count_nonzero(~np.isfinite(x))} NaN or infinite values; "
            "remove or repair those images"
        )
    if is_image and (x.min() < -1.0 or x.max() > 2.0):
        raise InputError(
            f"pixels must lie in [0, 1], got values from {x.min():.8g} to {x.max():.8g}; "
            "divide bytes by 255"
        )


def check_pixels(x: ArrayLike) -> Array:
    """Clean images as float32: finite, and exactly within [0, 1] once rounding is clipped."""
    x = np.asarray(x)
    if x.dtype.kind != "f":
        raise InputError(
            f"images must be floating point with pixels in [0, 1], got {x.dtype}; "
            "cast to float32 and divide bytes by 255"
        )
    if x.size and not (x.min() >= -ROUNDING and x.max() <= 1.0 + ROUNDING):
        raise InputError(
            f"images must be finite with pixels in [0, 1], got values from {x.min():.8g} to "
            f"{x.max():.8g}; divide bytes by 255 and remove NaN"
        )
    return x.clip(0.0, 1.0).astype(np.float32)


def check_labels(y: ArrayLike, num_classes: int | None = None, count: int | None = None) -> Array:
    """Integer labels `[B]` in 0 … C − 1 from integers or one-hot rows `[B, C]`."""
    y = np.asarray(y)
    if y.ndim == 2:
        if not (np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all()):
            raise InputError("labels of shape [B, C] must be one-hot rows, got other values")
        if num_classes is not None and y.shape[1] != num_classes:
            raise InputError(f"one-hot labels need {num_classes} columns, got {y.shape[1]}")
        y = y.argmax(1)
    if y.ndim != 1 or (y.size and (y != np.floor(y)).any()):
        raise InputError(
            f"labels must be integers [B] or one-hot rows [B, C], got {y.dtype} {list(y.shape)}"
        )
    if count is not None and len(y) != count:
        raise InputError(f"expected one label for each of {count} images, got {len(y)} labels")
    if y.size and (y.min() < 0 or (num_classes is not None and y.max() >= num_classes)):
        limit = "" if num_classes is None else f" to {num_classes - 1}"
        raise InputError(f"labels must be from 0{limit}, got {int(y.min())} to {int(y.max())}")
    return y.astype(np.int64)


def check_noise(noise: ArrayLike, num_classes: int, batch: int | None, dim_z: int) -> Tensor:
    """Standard-normal noise `[K, C, B, dim_z]`; C and B may be 1 to share it."""
    noise = tf.cast(tf.convert_to_tensor(noise), tf.float32)
    shape = list(noise.shape)
    fits = noise.shape.rank == 4 and all(
        got is None or want is None or got == want or (got == 1 and axis < 2)
        for axis, (got, want) in enumerate(zip(shape[1:], (num_classes, batch, dim_z), strict=True))
    )
    if not fits or shape[0] == 0:
        raise InputError(
            f"noise must have shape [K, {num_classes}, {batch}, {dim_z}] with K of at least 1, "
            f"got {shape}; order its axes as samples, classes, images, dim_z"
        )
    return noise
