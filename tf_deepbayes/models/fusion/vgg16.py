"""The VGG16 for CIFAR-10 whose features the fusion models of Li et al. 2019 classify.

It is the network of Geifman's cifar-vgg. Every convolution is followed by ReLU, then batch
normalisation, so that features may be negative. Layers are counted from 1, without the input.
"""

from collections.abc import Iterator, Sequence

import keras

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import is_number, shown
from tf_deepbayes.models.layers.conditionals import seeds_from

NAME = "cifar_vgg16"  # says of a saved model how it takes its pixels
IMAGE = (32, 32, 3)
# Channels of the convolutions of each block, and the dropout after each of them.
BLOCKS: tuple[tuple[tuple[int, float], ...], ...] = (
    ((64, 0.3), (64, 0.0)),
    ((128, 0.4), (128, 0.0)),
    ((256, 0.4), (256, 0.4), (256, 0.0)),
    ((512, 0.4), (512, 0.4), (512, 0.0)),
    ((512, 0.4), (512, 0.4), (512, 0.0)),
)
DENSE, DENSE_DROPOUT = 512, 0.5
WEIGHT_DECAY = 5e-4  # of every kernel but the last
KINDS = {
    **{"Conv2D": "conv2d", "Activation": "activation", "Dropout": "dropout"},
    **{"BatchNormalization": "batch_normalization", "MaxPooling2D": "max_pooling2d"},
    **{"Flatten": "flatten", "Dense": "dense"},
}
# What the published scripts call the layers that give features.
LAYERS = {"low": 16, "mid": 36, "high": 55}


def vgg16(
    width: float = 1.0, dropout: float = 1.0, num_classes: int = 10, seed: int = 0
) -> keras.Sequential:
    """The network of 60 layers, `[B, 32, 32, 3]` normalised pixels → p(y|x) `[B, C]`.

    Layers have the names of the published file: conv2d_1 … dense_2.

    Args:
        width: factor of every number of channels and of the dense layer; 1 has 15,001,418 values.
        dropout: factor of every dropout rate.
        seed: seed of the initial kernels and of the dropout masks.

    Raises:
        InputError: a width that leaves a layer without channels, or a factor outside [0, 1].
    """
    check_factors(width, dropout)
    seeds = seeds_from(seed)
    layers: list[keras.layers.Layer] = []
    for block in BLOCKS:
        for channels, rate in block:
            layers += [_convolution(scaled(channels, width), seeds), *_after()]
            if rate:
                layers.append(_dropout(rate * dropout, seeds))
        layers.append(keras.layers.MaxPooling2D(2, dtype="float32"))
    layers += [_dropout(DENSE_DROPOUT * dropout, seeds), keras.layers.Flatten(dtype="float32")]
    layers += [_dense(scaled(DENSE, width), seeds, WEIGHT_DECAY), *_after()]
    layers += [_dropout(DENSE_DROPOUT * dropout, seeds), _dense(num_classes, seeds, 0.0)]
    layers.append(keras.layers.Activation("softmax", dtype="float32"))
    _name(layers)
    return keras.Sequential([keras.Input(IMAGE, name="pixels"), *layers], name=NAME)


def scaled(size: int, width: float) -> int:
    """A number of channels or units at that width."""
    return max(1, round(size * width))


def check_factors(width: float, dropout: float) -> None:
    """InputError unless the width is in (0, 1] and the factor of the dropout in [0, 1]."""
    if not (is_number(width) and 1 / 64 <= width <= 1.0):
        raise InputError(f"width must be from 1/64 to 1, got {shown(width)}")
    if not (is_number(dropout) and 0.0 <= dropout <= 1.0):
        raise InputError(f"dropout must be from 0 to 1, got {shown(dropout)}")


def is_published(layers: Sequence[keras.layers.Layer]) -> bool:
    """Whether these layers, the input left out, are of the same kinds as the 60 published ones."""
    return [type(layer).__name__ for layer in layers] == list(_kinds())


def _kinds() -> Iterator[str]:
    for block in BLOCKS:
        for _, rate in block:
            yield from ("Conv2D", "Activation", "BatchNormalization")
            if rate:
                yield "Dropout"
        yield "MaxPooling2D"
    yield from ("Dropout", "Flatten", "Dense", "Activation", "BatchNormalization", "Dropout")
    yield from ("Dense", "Activation")


def _convolution(channels: int, seeds: Iterator[int]) -> keras.layers.Layer:
    return keras.layers.Conv2D(
        channels,
        3,
        padding="same",
        data_format="channels_last",
        kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        kernel_regularizer=keras.regularizers.L2(WEIGHT_DECAY),
        dtype="float32",
    )


def _after() -> list[keras.layers.Layer]:
    """ReLU, then batch normalisation with the settings of Keras 2."""
    return [
        keras.layers.Activation("relu", dtype="float32"),
        keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, dtype="float32"),
    ]


def _dropout(rate: float, seeds: Iterator[int]) -> keras.layers.Layer:
    return keras.layers.Dropout(rate, seed=next(seeds), dtype="float32")


def _dense(units: int, seeds: Iterator[int], decay: float) -> keras.layers.Layer:
    return keras.layers.Dense(
        units,
        kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        kernel_regularizer=keras.regularizers.L2(decay) if decay else None,
        dtype="float32",
    )


def _name(layers: Sequence[keras.layers.Layer]) -> None:
    """Number the layers of each kind from 1; Keras would count on within a process."""
    counts: dict[str, int] = {}
    for layer in layers:
        kind = KINDS[type(layer).__name__]
        counts[kind] = counts.get(kind, 0) + 1
        layer.name = f"{kind}_{counts[kind]}"
