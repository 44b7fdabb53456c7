"""Keras networks: dense stacks over several inputs, image features, the image decoder.

Initialisation as published: Glorot-uniform dense layers with zero bias, Glorot-normal features,
transposed convolutions uniform in ±1/(25 · output channels). Seeds differ from layer to layer.
"""

import functools
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import Tensor, over_leading_axes
from tf_deepbayes.inference.saved_activations import SavedReLU, output, saved_dtypes
from tf_deepbayes.models.layers.subpixel import SubpixelTranspose

KERNEL_SIZE = 5
Seeds = Iterator[int]
Activation = str | Callable[[Tensor], Tensor]


class JointDense(keras.layers.Layer):
    """act([a, b, …] W + bias): a dense layer on the concatenation of its inputs.

    The inputs may have different leading axes: W is cut into one block of rows per input and the
    products are added by broadcasting, so what depends on the image alone is multiplied once.
    """

    def __init__(
        self, input_sizes: Sequence[int], units: int, activation: Activation, seed: int
    ) -> None:
        super().__init__()
        self.input_sizes = tuple(input_sizes)
        self.activation = keras.activations.get(activation)
        self.kernel = self.add_weight(
            shape=(sum(input_sizes), units),
            initializer=keras.initializers.GlorotUniform(seed),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        self.built = True

    def call(self, *inputs: Tensor) -> Tensor:
        """Inputs `[..., size_i]`, leading axes broadcastable → `[..., units]`."""
        blocks = tf.split(self.kernel, self.input_sizes, axis=0)
        products = [
            over_leading_axes(functools.partial(tf.matmul, b=block), value)
            for value, block in zip(inputs, blocks, strict=True)
        ]
        # The gradient of bias_add does not need the shape of the sum, which may be pruned.
        return self.activation(tf.nn.bias_add(sum(products[1:], products[0]), self.bias))


class DenseStack(keras.layers.Layer):
    """[a, b, …] → hidden layers with ReLU → a last dense layer."""

    def __init__(
        self,
        input_sizes: Sequence[int],
        sizes: Sequence[int],
        seeds: Seeds,
        relu: Activation = "relu",
        last_activation: Activation = "linear",
    ) -> None:
        super().__init__()
        activations = [relu] * (len(sizes) - 1) + [last_activation]
        inputs = [tuple(input_sizes)] + [(size,) for size in sizes[:-1]]
        self.dense = [
            JointDense(widths, units, activation, next(seeds))
            for widths, units, activation in zip(inputs, sizes, activations, strict=True)
        ]
        self.built = True

    def call(self, *inputs: Tensor) -> Tensor:
        """Inputs `[..., size_i]` → `[..., sizes[-1]]`, leading axes broadcast."""
        hidden = self.dense[0](*inputs)
        for layer in self.dense[1:]:
            hidden = layer(hidden)
        return hidden


def convolutions(architecture: Architecture, seeds: Seeds) -> list[keras.layers.Layer]:
    """x `[B, H, W, channels]` → `[B, h·w·c₂]`: convolutions with ReLU, then flatten.

    Each halves height and width (rounded up), by its stride of 2 or by the max-pooling after it.
    """
    max_pooling = architecture.form.max_pooling
    layers: list[keras.layers.Layer] = [keras.Input(architecture.input_shape)]
    for channels in architecture.channels:
        layers.append(
            keras.layers.Conv2D(
                channels,
                KERNEL_SIZE,
                strides=1 if max_pooling else 2,
                padding="same",
                activation="relu",
                kernel_initializer=keras.initializers.GlorotNormal(next(seeds)),
            )
        )
        if max_pooling:
            layers.append(keras.layers.MaxPooling2D(2, padding="same"))
    return [*layers, keras.layers.Flatten()]


def image_features(architecture: Architecture, seeds: Seeds) -> keras.Sequential:
    """x `[B, H, W, channels]` → `[B, dim_h]`: `convolutions`, then one dense layer."""
    layers = convolutions(architecture, seeds)
    glorot = keras.initializers.GlorotNormal(next(seeds))
    return keras.Sequential(
        [*layers, keras.layers.Dense(architecture.dim_h, "relu", kernel_initializer=glorot)]
    )


def deconvolutions(
    architecture: Architecture, output_channels: int, seeds: Seeds
) -> keras.Sequential:
    """`[N, h·w·c₀]` → raw image `[N, H, W, output_channels]`: bias-free transposed convolutions."""
    small_to_large = architecture.spatial_sizes()[::-1]
    first, *hidden = architecture.channels[::-1]
    layers: list[keras.layers.Layer] = [
        keras.Input((small_to_large[0][0] * small_to_large[0][1] * first,)),
        keras.layers.Reshape((*small_to_large[0], first)),
    ]
    for size, units in zip(small_to_large[1:-1], hidden, strict=True):
        layers.append(
            keras.layers.Conv2DTranspose(
                units,
                KERNEL_SIZE,
                strides=2,
                padding="same",
                # An odd size (7 from 4) is the even size (8) without its first row.
                output_padding=tuple(1 - s % 2 for s in size),
                use_bias=False,
                activation=SavedReLU(3),
                kernel_initializer=_small_uniform(units, seeds),
            )
        )
    initializer = _small_uniform(output_channels, seeds)
    layers.append(
        SubpixelTranspose(
            output_channels, KERNEL_SIZE, small_to_large[-1], kernel_initializer=initializer
        )
    )
    return keras.Sequential(layers)


def _small_uniform(units: int, seeds: Seeds) -> keras.initializers.Initializer:
    bound = 1.0 / (KERNEL_SIZE**2 * units)
    return keras.initializers.RandomUniform(-bound, bound, next(seeds))


class Decoder(keras.layers.Layer):
    """[z] or [z, y] → raw decoder output of p(x|·): `[..., *event]`."""

    def __init__(
        self,
        architecture: Architecture,
        input_sizes: Sequence[int],
        num_parameters: int,
        seeds: Seeds,
    ) -> None:
        super().__init__()
        hidden = [architecture.dim_h] * architecture.form.decoder_layers
        if architecture.is_image:
            height, width = architecture.spatial_sizes()[-1]
            flat = height * width * architecture.channels[-1]
            self.stack = DenseStack(input_sizes, [*hidden, flat], seeds, SavedReLU(1), SavedReLU(1))
            self.to_image = deconvolutions(
                architecture, architecture.input_shape[-1] * num_parameters, seeds
            )
        else:
            sizes = [*hidden * 2, architecture.num_pixels * num_parameters]
            self.stack = DenseStack(input_sizes, sizes, seeds, SavedReLU(1))
            self.to_image = None
        self.built = True

    def call(self, *inputs: Tensor) -> Tensor:
        """Inputs `[..., size_i]` → `[..., H, W, channels · num_parameters]`."""
        flat = self.stack(*inputs)
        if self.to_image is None:
            return output(flat, 1)
        return output(over_leading_axes(self.to_image, flat), 3)

    @property
    def saved_dtypes(self) -> list[tf.DType]:
        """Dtypes of what `saved_activations.saving` records in a call."""
        image_layers = self.to_image.layers if self.to_image is not None else []
        return saved_dtypes([*self.stack.dense, *image_layers], self.compute_dtype)
