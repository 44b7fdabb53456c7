"""Checks of arguments: each error says what was expected, what was given, what to do."""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array, ArrayLike, Tensor
from tf_deepbayes.core.errors import InputError

ROUNDING = 1e-6  # beyond [0, 1], in pixels: a few float32 steps, which resizing and scaling leave
MAX_COUNT = 2**31 - 1  # what TensorFlow's 32-bit numbers hold


def is_number(value: Any) -> bool:
    """Whether it is one real number, of Python, numpy or TensorFlow, and no truth value."""
    if not isinstance(value, numbers.Real | np.ndarray | tf.Tensor):
        return False
    value = np.asarray(value)
    return value.ndim == 0 and value.dtype.kind in "iuf"


def shown(value: Any) -> str:
    """A wrong value in an error: one line, cut off when it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]} …"


def check_count(name: str, value: int, minimum: int = 1) -> int:
    """A whole number from `minimum` to `MAX_COUNT`."""
    is_whole = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_whole and minimum <= value <= MAX_COUNT and int(value) == value):
        limit = f"of at least {minimum}" if not is_whole or value <= MAX_COUNT else "up to 2³¹ − 1"
        raise InputError(f"{name} must be a whole number {limit}, got {shown(value)}")
    return int(value)


def check_finite(name: str, value: float) -> float:
    """A finite number."""
    if not (is_number(value) and np.isfinite(value)):
        raise InputError(f"{name} must be a finite number, got {shown(value)}")
    return float(value)


def check_positive(name: str, value: float) -> None:
    """A finite number above 0."""
    if not (is_number(value) and np.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a finite number above 0, got {shown(value)}")


def check_not_negative(name: str, value: float) -> float:
    """A finite number of at least 0."""
    if not (is_number(value) and np.isfinite(value) and value >= 0):
        raise InputError(f"{name} must be a finite number of at least 0, got {shown(value)}")
    return float(value)


def check_eps(eps: float) -> float:
    """The size of every image's perturbation: finite and not negative."""
    return check_not_negative("eps", eps)


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
    """Clean images as float32, finite and within [0, 1]; a rounding error outside is cut off."""
    x = np.asarray(x)
    if x.dtype.kind != "f":
        raise InputError(
            f"images must be floating point with pixels in [0, 1], got {x.dtype}; "
            "cast to float32 and divide bytes by 255"
        )
    return _unit_floats(x, "images")


def check_features(x: Array, what: str = "features") -> Array:
    """Feature vectors `[N, size]` to train on, as float32: finite, of any size."""
    for start in range(0, len(x), 1000):  # they may be mapped from disk, and more than fits twice
        if not np.isfinite(x[start : start + 1000]).all():
            raise InputError(f"{what} have NaN or infinite values; remove those images")
    return x.astype(np.float32, copy=False)


def check_images(x: ArrayLike, what: str = "images") -> Array:
    """Images to train on or to attack: bytes as uint8, or pixels in [0, 1] as float32.

    Whole numbers of other types are bytes where their values allow it.

    Args:
        what: the images, as an error message names them.

    Raises:
        InputError: another range, NaN, or no numbers; the message says what came.
    """
    x = np.asarray(x)
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind == "f":
        return _unit_floats(x, what)
    if x.dtype.kind not in "iu" or not x.size:
        raise InputError(f"{what} are {x.dtype}; expected bytes or floats in [0, 1]")
    low, high = int(x.min()), int(x.max())
    if low < 0 or high > 255 or high <= 1:
        raise InputError(
            f"{what} are {x.dtype} with values from {low} to {high}; expected bytes, 0 to 255, or "
            "floats in [0, 1]: divide by the largest value that a pixel can have"
        )
    return x.astype(np.uint8)


def _unit_floats(x: Array, what: str) -> Array:
    if x.size and not np.isfinite(x).all():
        count = np.count_nonzero(~np.isfinite(x.reshape(len(x), -1)).all(1)) if x.ndim else 1
        raise InputError(f"{count} of the {what} have NaN or infinite pixels; remove them")
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
    if low < -ROUNDING or high > 1.0 + ROUNDING:
        raise InputError(
            f"{what} have values from {low:.8g} to {high:.8g}; expected bytes (uint8) or floats in "
            "[0, 1]: divide bytes by 255"
        )
    if low < 0.0 or high > 1.0:
        x = x.clip(0.0, 1.0)
    return x.astype(np.float32, copy=False)


def check_labels(
    y: ArrayLike, num_classes: int | None = None, count: int | None = None, what: str = "labels"
) -> Array:
    """Integer labels `[B]` in 0 … C − 1.

    Args:
        y: whole numbers `[B]`, a column `[B, 1]`, or one-hot rows `[B, C]`.
        num_classes: C, where it is known.
        count: the number of images that they are for.
        what: the labels, as an error message names them.
    """
    y = np.asarray(y)
    if y.dtype.kind not in "iufb":
        names = ", ".join(map(str, y.reshape(-1)[:3]))
        raise InputError(
            f"{what} must be class numbers 0 … C − 1, got {names}{' …' if y.size > 3 else ''}; "
            "number the classes, as in np.unique(y, return_inverse=True)[1]"
        )
    if y.ndim == 2 and y.shape[1] == 1 and num_classes != 1:
        y = y[:, 0]
    if y.ndim == 2:
        y = _of_one_hot(y, num_classes, what)
    if y.ndim != 1 or (y.size and not (np.isfinite(y).all() and (y == np.floor(y)).all())):
        raise InputError(
            f"{what} must be whole numbers [B] or one-hot rows [B, C], got {y.dtype} "
            f"{list(y.shape)}"
        )
    if count is not None and len(y) != count:
        raise InputError(f"expected one label for each of {count} images, got {len(y)} {what}")
    if y.size and (y.min() < 0 or (num_classes is not None and y.max() >= num_classes)):
        limit = "" if num_classes is None else f" to {num_classes - 1}"
        raise InputError(f"{what} must be from 0{limit}, got {int(y.min())} to {int(y.max())}")
    return y.astype(np.int64)


def _of_one_hot(y: Array, num_classes: int | None, what: str) -> Array:
    if not (np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all()):
        raise InputError(
            f"{what} of shape [B, C] must be one-hot rows, got {list(y.shape)} with other values"
        )
    if num_classes is not None and y.shape[1] != num_classes:
        raise InputError(f"one-hot {what} need {num_classes} columns, got {y.shape[1]}")
    return y.argmax(1)


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
