"""Small networks whose features the tests classify, and files of them."""

import pathlib
import warnings
from collections.abc import Callable, Sequence

import h5py
import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.models.fusion.extractor import Extractor, read_extractor

SHAPE = (32, 32, 3)
WIDTH = 1 / 16  # of the VGG16: 4 … 32 channels


def drawn_weights(model: keras.Model, seed: int = 4242) -> list[np.ndarray]:
    """Random weights as the reference data describes them, in the order of `get_weights`."""
    random, drawn = np.random.RandomState(seed), []
    for weight in model.weights:
        shape, name = tuple(weight.shape), weight.name
        values = {
            "kernel": lambda s: random.randn(*s) * np.sqrt(2.0 / np.prod(s[:-1])),
            "bias": lambda s: 0.1 * random.randn(*s),
            "gamma": lambda s: 1.0 + 0.1 * random.randn(*s),
            "beta": lambda s: 0.1 * random.randn(*s),
            "moving_mean": lambda s: 0.3 * random.rand(*s),
            "moving_variance": lambda s: 0.5 + random.rand(*s),
        }[name](shape)
        drawn.append(np.asarray(values, np.float32))
    return drawn


def write_old_h5(
    path: pathlib.Path,
    model: keras.Model,
    weights: Sequence[np.ndarray],
    first_number: int = 1,
    change: Callable[[h5py.File], None] = lambda file: None,
) -> None:
    """The weights as `save_weights` of an old Keras wrote them.

    Args:
        first_number: of the layers of each kind.
        change: damages the file.
    """
    arrays = iter(weights)
    with h5py.File(path, "w") as file:
        names = []
        for layer in model.layers:
            kind, _, number = layer.name.rpartition("_")
            name = f"{kind}_{int(number) + first_number - 1}"
            names.append(name.encode())
            group = file.create_group(name)
            own = [f"{name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [text.encode() for text in own]
            for text in own:
                group.create_dataset(text, data=next(arrays))
        file.attrs["layer_names"] = names
        change(file)


def small_network(seed: int = 0) -> keras.Sequential:
    """A network of three layers with weights on 32×32×3 images, ten classes.

    It has batch normalisation and dropout inside, so that a training pass would be another.
    """
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(3, 3, strides=4, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.5, name="drop"),
            layers.Flatten(name="flat"),
            layers.Dense(24, name="features"),
            layers.Dense(10, activation="softmax", name="classes"),
        ]
    )
    random = np.random.default_rng(seed)
    norm = network.get_layer("norm")
    norm.set_weights([random.uniform(0.5, 1.5, 3).astype(np.float32) for _ in range(4)])
    return network


def save(model: keras.Model, path: pathlib.Path) -> pathlib.Path:
    """Save a model; Keras 3.15 warns of what it does itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix:
            model.save(path)
        else:
            module = tf.Module()
            module.model = model
            inner = keras.Model(
                model.inputs[0], [model.get_layer("features").output, *model.outputs]
            )
            answer = lambda pixels: dict(  # noqa: E731
                zip(("features", "classes"), inner(pixels, training=False), strict=True)
            )
            spec = tf.TensorSpec([None, *SHAPE], tf.float32, name="pixels")
            module.answer = tf.function(answer, input_signature=[spec])
            tf.saved_model.save(module, str(path), {"serving_default": module.answer})
    return path


def read(path: pathlib.Path, layer: str = "features", **options: object) -> Extractor:
    """The extractor of a file, for CIFAR-10."""
    return read_extractor(path, layer, SHAPE, "cifar10", **options)  # type: ignore[arg-type]
