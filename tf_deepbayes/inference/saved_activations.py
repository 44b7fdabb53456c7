"""Activations saved while decoding, so that the gradient need not decode again.

The gradient of a ReLU network with respect to its input needs only which units were active: one
byte per unit, where its value takes four. Under `saving`, each `SavedReLU` and the output record
their state. Under `reusing` they return what was recorded, and the layers between them are only
used for their gradients: TensorFlow prunes the forward products that nothing depends on.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor

# 13,000 decodes of 20 kB at MNIST sizes: 130 images of ten classes with K = 10.
MOST_BLOCKS = 26


class _Tape(Protocol):
    """What happens at a ReLU, and at the output of the network."""

    def relu(self, value: Tensor, event_ndims: int) -> Tensor: ...

    def output(self, value: Tensor, event_ndims: int) -> Tensor: ...


_tape: contextvars.ContextVar[_Tape | None] = contextvars.ContextVar("tape", default=None)


class SavedReLU:
    """ReLU of `[…, *event]`, as the activation of a layer.

    Args:
        event_ndims: axes of a unit; those before them count the inputs of the network.
    """

    def __init__(self, event_ndims: int) -> None:
        self.event_ndims = event_ndims

    def __call__(self, value: Tensor) -> Tensor:
        tape = _tape.get()
        return tf.nn.relu(value) if tape is None else tape.relu(value, self.event_ndims)


def output(value: Tensor, event_ndims: int) -> Tensor:
    """The output `[…, *event]` of a network whose activations are `SavedReLU`s."""
    tape = _tape.get()
    return value if tape is None else tape.output(value, event_ndims)


@contextlib.contextmanager
def saving() -> Iterator[list[Tensor]]:
    """Append the state of each ReLU and output reached inside to the list, `[M, *event]` each."""
    saver = _Saver()
    token = _tape.set(saver)
    try:
        yield saver.saved
    finally:
        _tape.reset(token)


@contextlib.contextmanager
def reusing(saved: Sequence[Tensor]) -> Iterator[None]:
    """ReLUs and outputs reached inside return those in `saved`, in the order of `saving`."""
    token = _tape.set(_Reuser(saved))
    try:
        yield
    finally:
        _tape.reset(token)


class _Saver:
    def __init__(self) -> None:
        self.saved: list[Tensor] = []

    def relu(self, value: Tensor, event_ndims: int) -> Tensor:
        value = tf.nn.relu(value)
        self.saved.append(_rows(value > 0, event_ndims))
        return value

    def output(self, value: Tensor, event_ndims: int) -> Tensor:
        self.saved.append(_rows(value, event_ndims))
        return value


class _Reuser:
    def __init__(self, saved: Sequence[Tensor]) -> None:
        self.rest = iter(saved)

    def relu(self, value: Tensor, event_ndims: int) -> Tensor:
        active = _like(value, next(self.rest), event_ndims)
        # The value itself is not used, so nothing before it need be computed.
        masked = lambda upstream: tf.where(active, upstream, tf.zeros([], upstream.dtype))  # noqa: E731
        return _instead(value, tf.cast(active, value.dtype), masked)

    def output(self, value: Tensor, event_ndims: int) -> Tensor:
        return _instead(
            value, _like(value, next(self.rest), event_ndims), lambda upstream: upstream
        )


def _rows(value: Tensor, event_ndims: int) -> Tensor:
    """`[…, *event]` → `[M, *event]`."""
    return tf.reshape(value, [-1, *value.shape[value.shape.rank - event_ndims :]])


def _like(value: Tensor, rows: Tensor, event_ndims: int) -> Tensor:
    """`[M, *event]` → `[1, …, 1, M, *event]`, with as many axes as the value."""
    leading = value.shape.rank - event_ndims
    return tf.reshape(rows, [1] * (leading - 1) + [-1, *value.shape[leading:]])


def _instead(value: Tensor, saved: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
    """`saved`, with `slope` as its gradient with respect to `value`."""
    return tf.custom_gradient(lambda _: (saved, slope))(value)


def saved_dtypes(layers: Iterable[Any], output_dtype: str) -> list[tf.DType]:
    """Dtypes of what `saving` records for a network of these layers: ReLUs, then the output."""
    relus = [x for x in layers if isinstance(getattr(x, "activation", None), SavedReLU)]
    return [tf.bool] * len(relus) + [tf.as_dtype(output_dtype)]


class SavedActivations(NamedTuple):
    """The activations saved in the first `MOST_BLOCKS` blocks of a pass.

    Attributes:
        arrays: per block `[M, *event]` for each ReLU and the output, without rows for blocks that
            are not saved; empty for networks where saving does not pay.
    """

    arrays: tuple[tf.TensorArray, ...]

    @classmethod
    def nothing(cls, dtypes: Sequence[tf.DType]) -> "SavedActivations":
        """Before the first block."""
        make = lambda dtype: tf.TensorArray(dtype, 0, dynamic_size=True, infer_shape=False)  # noqa: E731
        return cls(tuple(make(dtype) for dtype in dtypes))

    def plus(self, index: Tensor, rows: Sequence[Tensor]) -> "SavedActivations":
        """Add a block's activations, if it is one of the first."""
        # Not an empty slice, which would keep the memory of all rows.
        none = [tf.zeros([0, *value.shape[1:]], value.dtype) for value in rows]
        chosen = tf.cond(index < MOST_BLOCKS, lambda: list(rows), lambda: none)
        return SavedActivations(
            tuple(a.write(index, r) for a, r in zip(self.arrays, chosen, strict=True))
        )

    def of(self, index: Tensor) -> list[Tensor]:
        """The activations of a block."""
        return [array.read(index) for array in self.arrays]
