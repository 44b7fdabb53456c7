"""Small classifiers and data for the tests."""

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.factorisations import FACTORISATIONS

IMAGES = Architecture((28, 28, 1), num_classes=3, dim_z=4, dim_h=16, channels=(2, 3, 4))
VECTORS = Architecture((6,), num_classes=3, dim_z=4, dim_h=16, channels=(), hidden_layers=2)


def classifier(
    name: str, architecture: Architecture = IMAGES, likelihood: str = "l2"
) -> LatentClassifier:
    """An untrained classifier whose weights are large enough to matter."""
    model = FACTORISATIONS[name](architecture, likelihood, seed=1)
    random = np.random.default_rng(2)
    for weight in model.weights:
        fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 10
        weight.assign(random.normal(size=weight.shape) * 0.7 / np.sqrt(fan_in))
    return model


def images(count: int, seed: int = 0, shape: tuple[int, ...] = IMAGES.input_shape) -> np.ndarray:
    """Random pixels in [0, 1]."""
    return np.random.default_rng(seed).uniform(size=(count, *shape)).astype(np.float32)


def noise_for(model: LatentClassifier, num_samples: int, count: int) -> np.ndarray:
    """Standard normal noise `[K, C, B, dim_z]`."""
    a = model.architecture
    shape = (num_samples, a.num_classes, count, a.dim_z)
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def convnet(scale: float = 1.0, policy: str = "float32") -> keras.Model:
    """A fixed random network on 8×8 images, five classes, computed in a dtype or policy."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, activation="relu", dtype=policy),
            keras.layers.Flatten(dtype=policy),
            keras.layers.Dense(
                5, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.3), dtype=policy
            ),
            keras.layers.Rescaling(scale, dtype=policy),
        ]
    )


def labels_of(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The model's own predictions."""
    return np.asarray(tf.argmax(model(x), axis=1))
