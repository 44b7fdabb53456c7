"""What the functions that a pickle of arrays names stand for: no other function is ever called."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_deepbayes.core.axes import Array


class Dtype:
    """What `dtype('f4', False, True)` stands for, until its byte order is set."""

    def __init__(self, code: str, *flags: Any) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[fiu][1248]|b1", code):
            raise ValueError(f"an array of type {str(code)[:20]!r} is not one of numbers")
        self.dtype = np.dtype(code)

    def set_state(self, version: int, order: str, *rest: Any) -> None:
        if order not in ("<", ">", "|", "=") or any(value is not None for value in rest[:3]):
            raise ValueError("an array's type is not one of numbers")
        self.dtype = np.dtype(order + self.dtype.str[1:])


class EmptyArray:
    """What `_reconstruct(ndarray, (0,), b'b')` stands for, until its content is known.

    Attributes:
        memo_keys: where the memo holds it, to put the array there.
    """

    def __init__(self, *arguments: Any) -> None:
        self.memo_keys: list[int] = []

    @staticmethod
    def filled(
        version: int, shape: tuple[int, ...], dtype: Dtype, fortran: bool, raw: str | bytes
    ) -> Array:
        """The array of this state."""
        return from_buffer(raw, dtype, shape, "F" if fortran else "C")


def from_buffer(
    raw: str | bytes | bytearray,
    dtype: Dtype,
    shape: tuple[int, ...],
    order: str,
    axis_order: Sequence[int] | None = None,
) -> Array:
    """NumPy's `_frombuffer`, which protocol 5 names: `shape` with its axes in another order."""
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("an array's shape is not one of whole numbers")
    values = np.frombuffer(_as_bytes(raw), dtype.dtype)
    if order == "K":
        return values.reshape(shape).transpose(axis_order)
    return values.reshape(shape, order="F" if order == "F" else "C")


def scalar(dtype: Dtype, raw: str | bytes) -> Any:
    """A single number of NumPy."""
    (value,) = np.frombuffer(_as_bytes(raw), dtype.dtype)
    return value


def no_bytes() -> bytes:
    """`bytes()`, by which Python 3 says b'' in protocols 0 to 2."""
    return b""


def _as_bytes(raw: str | bytes | bytearray) -> bytes | bytearray:
    """Python 2 wrote strings where Python 3 has bytes."""
    return raw.encode("latin1") if isinstance(raw, str) else raw
