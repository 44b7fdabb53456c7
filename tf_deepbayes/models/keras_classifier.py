"""A person's own Keras classifier, with what a run uses of a classifier of this library."""

import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import Array, ArrayLike, LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError

SUFFIXES = (".keras", ".h5")


def is_keras_file(name: str) -> bool:
    """Whether a command line names the file of a Keras model."""
    return pathlib.Path(name).suffix in SUFFIXES


def read_keras(path: pathlib.Path) -> keras.Model:
    """The model of a file; InputError when it cannot be loaded or is no classifier of images."""
    if not path.is_file():
        raise InputError(f"no file {path}; expected a Keras classifier, {' or '.join(SUFFIXES)}")
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever its layers raise
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be loaded by Keras ({reason})") from None
    shapes: list[Any] = [getattr(model, n, None) or () for n in ("input_shape", "output_shape")]
    taken, given = shapes
    if len(taken) != 4 or len(given) != 2 or None in (*taken[1:], given[1]):
        raise InputError(
            f"{path} maps {taken} to {given}; expected one input [B, H, W, channels] of one size "
            "and one output [B, C]"
        )
    return model


class KerasClassifier:
    """A Keras model that answers as a baseline without dropout does.

    Args:
        model: `[B, H, W, channels]` → `[B, C]`.
        logits_fn: its logits.
    """

    is_random = makes_images = has_p_x = False
    label_factor: str | None = None
    factors: tuple[str, ...] = ()
    dropout_rate = 0.0

    def __init__(self, model: keras.Model, logits_fn: LogitsFn) -> None:
        self.model, self.logits_fn = model, logits_fn
        self.architecture = Architecture(
            tuple(int(size) for size in model.input_shape[1:]), int(model.output_shape[1])
        )
        self.generator = tf.random.Generator.from_seed(0)

    def logits(self, x: ArrayLike, sampling: Any = None) -> Tensor:
        """`[B, C]`."""
        return self.logits_fn(tf.convert_to_tensor(x))

    def log_weights(self, x: ArrayLike, sampling: Any = None) -> Tensor:
        """The logits as those of one sample, `[1, C, B]`."""
        return tf.transpose(self.logits(x))[None]

    def features(self, x: Tensor) -> Tensor:
        """What the last layer takes, `[B, …]`."""
        inner = keras.Model(self.model.inputs, self.model.layers[-1].input)
        return inner(x, training=False)

    def get_weights(self) -> list[Array]:
        """The weights in the model's order."""
        return self.model.get_weights()

    def examples(self) -> Array:
        """A few random images of its size."""
        shape = (8, *self.architecture.input_shape)
        return np.random.default_rng(0).uniform(size=shape).astype(np.float32)
