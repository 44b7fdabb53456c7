"""Conditional distributions: Keras layers whose call returns a TFP distribution.

An image is given as `Observed`, with its features computed once for all classes and samples; they
feed the first rows of the first dense layer, as in the published weights.
"""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import Distribution, Tensor
from tf_deepbayes.inference.latent_model import Observed
from tf_deepbayes.models.layers.likelihoods import Likelihood
from tf_deepbayes.models.layers.networks import Decoder, DenseStack, image_features

tfd = tfp.distributions


class Conditional(keras.layers.Layer):
    """p(a | b, …) with one network; `features` is its own network on x, if it depends on x."""

    def __init__(self, name: str, network: keras.layers.Layer, features: keras.Model | None):
        super().__init__(name=name, dtype="float32")
        self.network = network
        self.features = features
        self.built = True

    def parameters(self, *given: Tensor | Observed) -> Tensor:
        """Raw network output `[..., size]`, leading axes broadcast; the features of x go first."""
        images = [g.features[self.name] for g in given if isinstance(g, Observed)]
        raw = self.network(*images, *(g for g in given if not isinstance(g, Observed)))
        return tf.cast(raw, tf.float32)  # networks may compute in bfloat16; densities are float32


class GaussianConditional(Conditional):
    """N(mean, diag σ²) over z; the network gives the mean, then log σ."""

    def call(self, *given: Tensor | Observed) -> Distribution:
        mean, log_scale = tf.split(self.parameters(*given), 2, axis=-1)
        return diagonal_normal(mean, tf.exp(log_scale))


class CategoricalConditional(Conditional):
    """A distribution over one-hot labels; the network gives unnormalised log probabilities."""

    def call(self, *given: Tensor | Observed) -> Distribution:
        return tfd.OneHotCategorical(self.parameters(*given), dtype=tf.float32)


class PixelConditional(Conditional):
    """p(x | z, …): the decoder's raw output through the likelihood."""

    def __init__(self, name: str, network: Decoder, likelihood: Likelihood, event_ndims: int):
        super().__init__(name, network, None)
        self.likelihood, self.event_ndims = likelihood, event_ndims

    def call(self, *given: Tensor) -> Distribution:
        return self.likelihood.distribution(self.parameters(*given), self.event_ndims)


def diagonal_normal(mean: Tensor, scale: Tensor) -> Distribution:
    """N(mean, diag scale²), event axis last."""
    return tfd.Independent(tfd.Normal(mean, scale), 1)


def seeds_from(seed: int) -> Iterator[int]:
    """An endless stream of different seeds, one for each layer."""
    generator = np.random.default_rng(seed)
    while True:
        yield int(generator.integers(2**31 - 1))


class ConditionalFactory:
    """Makes the conditionals of one classifier with the sizes of its architecture.

    Each conditional has its own network for image features; feature vectors are used as they are.
    """

    def __init__(self, architecture: Architecture, likelihood: Likelihood, seed: int) -> None:
        self.architecture, self.likelihood = architecture, likelihood
        self.seeds = seeds_from(seed)

    def _features(self) -> tuple[keras.Model | None, int]:
        if not self.architecture.is_image:
            return keras.layers.Identity(), self.architecture.num_pixels
        return image_features(self.architecture, self.seeds), self.architecture.dim_h

    def _stack(self, input_sizes: list[int], hidden_layers: int, size: int) -> DenseStack:
        sizes = [self.architecture.dim_h] * hidden_layers + [size]
        return DenseStack(input_sizes, sizes, self.seeds)

    def q_z_xy(self) -> GaussianConditional:
        """q(z|x,y): [features(x), y] → hidden → mean, log σ."""
        a = self.architecture
        features, size = self._features()
        stack = self._stack([size, a.num_classes], a.hidden_layers, 2 * a.dim_z)
        return GaussianConditional("q_z_xy", stack, features)

    def p_z_x(self) -> GaussianConditional:
        """p(z|x): features(x) → hidden → mean, log σ."""
        a = self.architecture
        features, size = self._features()
        stack = self._stack([size], a.hidden_layers, 2 * a.dim_z)
        return GaussianConditional("p_z_x", stack, features)

    def p_z_y(self) -> GaussianConditional:
        """p(z|y): y → hidden → mean, log σ."""
        a = self.architecture
        return GaussianConditional("p_z_y", self._stack([a.num_classes], 1, 2 * a.dim_z), None)

    def p_y_z(self, hidden_layers: int = 1) -> CategoricalConditional:
        """p(y|z): z → hidden → logits."""
        a = self.architecture
        stack = self._stack([a.dim_z], hidden_layers, a.num_classes)
        return CategoricalConditional("p_y_z", stack, None)

    def p_y_zx(self) -> CategoricalConditional:
        """p(y|z,x): [features(x), z] → hidden → logits."""
        a = self.architecture
        features, size = self._features()
        stack = self._stack([size, a.dim_z], 1, a.num_classes)
        return CategoricalConditional("p_y_zx", stack, features)

    def p_x_z(self) -> PixelConditional:
        """p(x|z): z → decoder."""
        return self._pixels("p_x_z", [self.architecture.dim_z])

    def p_x_zy(self) -> PixelConditional:
        """p(x|z,y): [z, y] → decoder."""
        return self._pixels("p_x_zy", [self.architecture.dim_z, self.architecture.num_classes])

    def _pixels(self, name: str, input_sizes: list[int]) -> PixelConditional:
        decoder = Decoder(
            self.architecture, input_sizes, self.likelihood.num_parameters, self.seeds
        )
        event_ndims = len(self.architecture.input_shape)
        return PixelConditional(name, decoder, self.likelihood, event_ndims)
