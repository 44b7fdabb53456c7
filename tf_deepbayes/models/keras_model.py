"""What our classifiers are to Keras: independent of its settings, saved and copied as models."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import keras

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.errors import InputError

# The only policy for networks that can be asked for; sums of densities stay in float32.
MIXED = "mixed_bfloat16"


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Layers made in the block are the same whatever keras.json says.

    They are channels_last in float32, or in the global policy if that is mixed_bfloat16.
    """
    config = keras.config
    saved = config.floatx(), config.image_data_format(), config.dtype_policy()
    config.set_floatx("float32")
    config.set_image_data_format("channels_last")
    config.set_dtype_policy(MIXED if saved[2].name == MIXED else "float32")
    try:
        yield
    finally:
        config.set_floatx(saved[0])
        config.set_image_data_format(saved[1])
        config.set_dtype_policy(saved[2])


def with_own_settings(function: Callable) -> Callable:
    """The function, called in `own_settings`."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        with own_settings():
            return function(*arguments, **options)

    return call


class ClassifierModel(keras.Model):
    """A Keras model that `save`, `copy.deepcopy` and `pickle` know how to make again."""

    architecture: Architecture
    seed: int

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keras.saving.register_keras_serializable("tf_deepbayes")(cls)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a classifier like this one, as JSON values."""
        config = {"architecture": dataclasses.asdict(self.architecture), "seed": self.seed}
        likelihood = getattr(self, "likelihood", None)
        return config if likelihood is None else config | {"likelihood": likelihood.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "ClassifierModel":
        """A classifier with the arguments of `get_config` and its initial weights."""
        options = dict(config)
        return cls(Architecture.from_dict(options.pop("architecture")), **options)

    def compile(self, *arguments: Any, **options: Any) -> NoReturn:
        """Refused: the bound is no loss of labels and outputs."""
        raise InputError(
            f"{type(self).__name__} is not trained by compile and fit: use tf_deepbayes.train("
            "model, data), or maximise model.bound(x, y) in a loop of your own"
        )

    fit = compile
