"""What a forward pass through a decoder keeps, so that its gradient need not decode again.

The gradient of a ReLU network with respect to its input takes no more than where each unit was
on: a byte for each, where its value has four. While `saving`, each `SavedReLU` and the output write
down what they were. While `reusing` they are what was written down, and the layers between them
serve their gradients alone: TensorFlow leaves out the products that nothing follows from.
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
    """What happens at a gate, and at the end of the network."""

    def gate(self, value: Tensor, event_ndims: int) -> Tensor: ...

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
        return tf.nn.relu(value) if tape is None else tape.gate(value, self.event_ndims)


def output(value: Tensor, event_ndims: int) -> Tensor:
    """The output `[…, *event]` of the network whose ReLUs are gates."""
    tape = _tape.get()
    return value if tape is None else tape.output(value, event_ndims)


@contextlib.contextmanager
def saving() -> Iterator[list[Tensor]]:
    """Gates and outputs met inside are appended to the list, `[M, *event]` each."""
    recorder = _Recorder()
    token = _tape.set(recorder)
    try:
        yield recorder.kept
    finally:
        _tape.reset(token)


@contextlib.contextmanager
def reusing(kept: Sequence[Tensor]) -> Iterator[None]:
    """Gates and outputs met inside are those of `kept`, in the order of `saving`."""
    token = _tape.set(_Player(kept))
    try:
        yield
    finally:
        _tape.reset(token)


class _Recorder:
    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def gate(self, value: Tensor, event_ndims: int) -> Tensor:
        value = tf.nn.relu(value)
        self.kept.append(_rows(value > 0, event_ndims))
        return value

    def output(self, value: Tensor, event_ndims: int) -> Tensor:
        self.kept.append(_rows(value, event_ndims))
        return value


class _Player:
    def __init__(self, kept: Sequence[Tensor]) -> None:
        self.rest = iter(kept)

    def gate(self, value: Tensor, event_ndims: int) -> Tensor:
        on = _like(value, next(self.rest), event_ndims)
        # Of the value itself nothing is used, so that nothing before it need be computed.
        shut = lambda upstream: tf.where(on, upstream, tf.zeros([], upstream.dtype))  # noqa: E731
        return _instead(value, tf.cast(on, value.dtype), shut)

    def output(self, value: Tensor, event_ndims: int) -> Tensor:
        return _instead(
            value, _like(value, next(self.rest), event_ndims), lambda upstream: upstream
        )


def _rows(value: Tensor, event_ndims: int) -> Tensor:
    """`[…, *event]` → `[M, *event]`."""
    return tf.reshape(value, [-1, *value.shape[value.shape.rank - event_ndims :]])


def _like(value: Tensor, rows: Tensor, event_ndims: int) -> Tensor:
    """`[M, *event]` → `[1, …, 1, M, *event]` with as many axes as the value."""
    leading = value.shape.rank - event_ndims
    return tf.reshape(rows, [1] * (leading - 1) + [-1, *value.shape[leading:]])


def _instead(value: Tensor, kept: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
    """`kept`, whose gradient goes to `value` by way of `slope`."""
    return tf.custom_gradient(lambda _: (kept, slope))(value)


def saved_dtypes(layers: Iterable[Any], output_dtype: str) -> list[tf.DType]:
    """Of what `saving` writes down of a network of these layers: its gates, then the output."""
    gates = [x for x in layers if isinstance(getattr(x, "activation", None), SavedReLU)]
    return [tf.bool] * len(gates) + [tf.as_dtype(output_dtype)]


class SavedActivations(NamedTuple):
    """What the first `MOST_BLOCKS` blocks of a pass wrote down.

    Attributes:
        arrays: a block's `[M, *event]` for each gate and the output, with no rows where nothing is
            kept; empty for networks that are not worth it.
    """

    arrays: tuple[tf.TensorArray, ...]

    @classmethod
    def nothing(cls, dtypes: Sequence[tf.DType]) -> "SavedActivations":
        """Before the first block."""
        make = lambda dtype: tf.TensorArray(dtype, 0, dynamic_size=True, infer_shape=False)  # noqa: E731
        return cls(tuple(make(dtype) for dtype in dtypes))

    def plus(self, index: Tensor, rows: Sequence[Tensor]) -> "SavedActivations":
        """With those of a block, if it is one of the first."""
        # Not a slice of no rows, which would hold the memory of all.
        none = [tf.zeros([0, *value.shape[1:]], value.dtype) for value in rows]
        chosen = tf.cond(index < MOST_BLOCKS, lambda: list(rows), lambda: none)
        return SavedActivations(
            tuple(a.write(index, r) for a, r in zip(self.arrays, chosen, strict=True))
        )

    def of(self, index: Tensor) -> list[Tensor]:
        """Those of a block."""
        return [array.read(index) for array in self.arrays]
