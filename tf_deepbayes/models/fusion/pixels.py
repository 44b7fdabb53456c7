"""How a network takes its pixels, which no Keras file says."""

from collections.abc import Callable

import tensorflow as tf

from tf_deepbayes.core.axes import ArrayLike, Tensor
from tf_deepbayes.core.errors import InputError

# One mean and one deviation of the bytes of all training pixels of CIFAR-10, for all channels:
# constants of Geifman's network. They are applied in the order of its code.
MEAN, DEVIATION, TINY = 120.707, 64.15, 1e-7


def _geifman(x: Tensor) -> Tensor:
    return (255.0 * x - MEAN) / (DEVIATION + TINY)


CONVENTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "geifman": _geifman,
    "bytes": lambda x: 255.0 * x,
    "unit": lambda x: x,
}
GEIFMAN, UNIT = "geifman", "unit"


def normalised(x: ArrayLike, name: str) -> Tensor:
    """Pixels in [0, 1] as the network takes them, float32.

    Args:
        name: "geifman" (255 x − 120.707) / (64.15 + 1e-7); "bytes" 255 x; "unit" x.
    """
    return CONVENTIONS[check(name)](tf.cast(tf.convert_to_tensor(x), tf.float32))


def check(name: str) -> str:
    """The given name; InputError when it is no convention."""
    if name not in CONVENTIONS:
        raise InputError(f"pixels must be one of {', '.join(CONVENTIONS)}, got {name!r}")
    return name
