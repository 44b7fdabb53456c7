"""Settings of the VGG16's training, with the published values as defaults."""

import dataclasses
import math
from typing import Any

import keras
import tensorflow as tf

from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_positive
from tf_deepbayes.models.fusion.vgg16 import check_factors

OPTIMIZERS = ("sgd", "adam")
# Published: SGD with Nesterov momentum, whose rate halves every 20 epochs, and falls with 1 + 1e-6
# times the steps as well.
MOMENTUM, HALVES_EVERY, DECAY = 0.9, 20, 1e-6
ADAM_RATE = 3e-3
WARM_UP = 200  # steps in which Adam's learning rate rises


@dataclasses.dataclass(frozen=True)
class VGGSettings:
    """How the VGG16 is trained; the defaults at width 1 are those of Geifman's cifar-vgg.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; an incomplete last batch is dropped, as published.
        width: factor of the network's channels.
        dropout: factor of its dropout rates.
        weight_decay: factor of its weight decay.
        optimizer: "sgd" (published) or "adam", whose learning rate rises and then falls to zero.
        learning_rate: the largest.
        seed: of initial weights, order, augmentation and dropout.
    """

    epochs: int = 250
    batch_size: int = 128
    width: float = 1.0
    dropout: float = 1.0
    weight_decay: float = 1.0
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("epochs", self.epochs)
        check_count("batch_size", self.batch_size)
        check_count("seed", self.seed, minimum=0)
        check_factors(self.width, self.dropout)
        if not 0.0 <= self.weight_decay < math.inf:
            raise InputError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        check_positive("learning_rate", self.learning_rate)
        if self.optimizer not in OPTIMIZERS:
            raise InputError(
                f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}"
            )

    @classmethod
    def for_width(cls, width: float = 1.0, **given: Any) -> "VGGSettings":
        """The published settings; for a narrower network those that it learns with quickly.

        Args:
            given: settings that are to be others.
        """
        narrow: dict[str, Any] = {}
        if width < 1.0:
            narrow = {"epochs": 12, "dropout": 0.0, "weight_decay": 0.0}
            narrow |= {"optimizer": "adam", "learning_rate": ADAM_RATE}
            if given.get("optimizer", "adam") != "adam":
                del narrow["learning_rate"]
        elif given.get("optimizer") == "adam":
            narrow = {"learning_rate": ADAM_RATE}
        return cls(width=width, **{**narrow, **given})

    def make_optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        """The optimizer with its learning rate in every step."""
        if self.optimizer == "sgd":
            halving = Halving(self.learning_rate, steps_per_epoch)
            return keras.optimizers.SGD(halving, momentum=MOMENTUM, nesterov=True)
        return keras.optimizers.Adam(
            RisingAndFalling(self.learning_rate, steps_per_epoch * self.epochs)
        )


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """rate · 0.5^⌊epoch / 20⌋ / (1 + 1e-6 · step)."""

    def __init__(self, rate: float, steps_per_epoch: int) -> None:
        self.rate, self.steps_per_epoch = rate, steps_per_epoch

    def __call__(self, step: Tensor) -> Tensor:
        halvings = tf.cast(step // (self.steps_per_epoch * HALVES_EVERY), tf.float32)
        return self.rate * 0.5**halvings / (1.0 + DECAY * tf.cast(step, tf.float32))

    def get_config(self) -> dict[str, Any]:
        """See Keras."""
        return {"rate": self.rate, "steps_per_epoch": self.steps_per_epoch}


class RisingAndFalling(keras.optimizers.schedules.LearningRateSchedule):
    """rate · min(1, (step + 1) / 200) · (1 − step / steps)."""

    def __init__(self, rate: float, steps: int) -> None:
        self.rate, self.steps = rate, steps

    def __call__(self, step: Tensor) -> Tensor:
        step = tf.cast(step, tf.float32)
        return self.rate * tf.minimum(1.0, (step + 1.0) / WARM_UP) * (1.0 - step / self.steps)

    def get_config(self) -> dict[str, Any]:
        """See Keras."""
        return {"rate": self.rate, "steps": self.steps}
