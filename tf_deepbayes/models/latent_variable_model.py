"""A deep latent-variable model p(x, z, y) with a learned q(z|x, y), and its training bound.

A subclass only names its factors; inference and training are fixed.
"""

import abc
import math

import keras
import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import (
    ArrayLike,
    Distribution,
    Tensor,
    Terms,
    compiled,
    log_mean_exp,
)
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_inputs, check_labels, check_noise
from tf_deepbayes.inference.latent_model import Observed
from tf_deepbayes.inference.noise import next_seeds
from tf_deepbayes.models.keras_model import ClassifierModel, with_own_settings
from tf_deepbayes.models.layers import likelihoods
from tf_deepbayes.models.layers.conditionals import ConditionalFactory, diagonal_normal


def without_head(name: str, architecture: Architecture) -> InputError:
    """The error where a model has no p(y|z), with those that have one: of images, or on features.

    GFZ has one, and no published form on features.
    """
    choices = "GFZ, GBZ or DBX" if architecture.is_image else "GBZ or DBX"
    return InputError(f"{name} has no p(y|z) whose logits could be followed; choose {choices}")


class LatentVariableModel(ClassifierModel, abc.ABC):
    """p(x, z, y), a product of factors, with a learned q(z|x,y).

    Args:
        architecture: sizes of the networks.
        likelihood: name of p(x|·), see `tf_deepbayes.models.layers.likelihoods`.
        seed: seed of the initial weights, the training noise and any noise not given.
    """

    beta_factors: tuple[str, ...] = ()  # the log densities that the published beta scales

    @with_own_settings
    def __init__(self, architecture: Architecture, likelihood: str = "l2", seed: int = 0) -> None:
        # float32 whatever the networks' precision: densities are summed here.
        super().__init__(name=type(self).__name__.lower(), dtype="float32")
        self.architecture, self.seed = architecture, seed
        self.likelihood = likelihoods.get(likelihood)
        if self.likelihood.needs_pixels and not architecture.is_image:
            raise InputError(
                f"the likelihood {likelihood} is for pixels in [0, 1], the architecture is for "
                "feature vectors; use l2, l1 or gaussian"
            )
        make = ConditionalFactory(architecture, self.likelihood, seed)
        self.build_factors(make)
        self.q_z_xy = make.q_z_xy()
        self.has_p_x = hasattr(self, "p_x_z") or hasattr(self, "p_x_zy")
        self.generator = tf.random.Generator.from_seed(seed)
        self.built = True
        x = tf.TensorSpec([None, *architecture.input_shape], tf.float32)
        y = tf.TensorSpec([None, architecture.num_classes], tf.float32)
        noise = tf.TensorSpec([None, None, None, architecture.dim_z], tf.float32)
        beta = tf.TensorSpec([], tf.float32)
        self._bound_weights = compiled(self._bound_log_weights, x, y, noise, beta)

    @abc.abstractmethod
    def build_factors(self, make: ConditionalFactory) -> None:
        """Set the conditionals `p_…` of this factorisation."""

    @abc.abstractmethod
    def log_joint(self, x: Observed, y: Tensor, z: Tensor) -> Terms:
        """{factor: log density}, broadcastable to `[K, C, B]`; y one-hot `[C or 1, B or 1, C]`."""

    @property
    def p_z(self) -> Distribution:
        """N(0, I), made anew so that its constants belong to, and are freed with, one graph."""
        return diagonal_normal(tf.zeros(self.architecture.dim_z), tf.ones(self.architecture.dim_z))

    def latent_prior(self, y: Tensor) -> Distribution:
        """p(z) or p(z|y): the distribution of z when an image is generated."""
        return self.p_z

    def log_p_y(self, y: Tensor) -> Tensor:
        """Uniform p_D(y): −log C."""
        return tf.fill(tf.shape(y)[:-1], -math.log(self.architecture.num_classes))

    def log_p_x(self, x: Observed) -> Tensor:
        """p_D(x) of the discriminative models: not modelled, 0."""
        return tf.zeros(tf.shape(x.pixels)[0])

    def observe(self, x: Tensor) -> Observed:
        """x `[B, *input_shape]` with everything that depends on it alone, computed once."""
        pixels = self.likelihood.transform(x)
        lookers = [c for c in self.conditionals() if c.features is not None]
        return Observed(pixels, {c.name: tf.cast(c.features(pixels), tf.float32) for c in lookers})

    def conditionals(self) -> list[keras.layers.Layer]:
        """q(z|x,y) and the learned factors."""
        return [layer for layer in self.layers if hasattr(layer, "parameters")]

    def features(self, x: Tensor) -> Tensor:
        """The features of x that q(z|x,y) sees, `[B, size]`."""
        return self.observe(x).features[self.q_z_xy.name]

    def bound(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: ArrayLike | None = None,
        num_samples: int = 1,
        *,
        importance_weighted: bool = True,
        seed: int | None = None,
        beta: float = 1.0,
    ) -> Tensor:
        """A lower bound on log p(x, y) of each example.

        K = 1: E_q[log p(x, z, y) − log q(z|x,y)]; K > 1: the importance-weighted bound
        logmeanexp_k (Burda et al. 2016), or with `importance_weighted=False` the mean over k.

        Args:
            x: `[B, *input_shape]`.
            y: labels `[B]` or one-hot `[B, C]`.
            noise: standard normal `[K, B, dim_z]` (or `[K, 1, B, dim_z]`); drawn when not given.

        Returns:
            `[B]`, nats.
        """
        x = check_inputs(x, self.architecture.input_shape)
        labels = check_labels(y, self.architecture.num_classes, x.shape[0])
        if not len(labels):
            return tf.zeros([0])
        if noise is None:
            shape = [check_count("num_samples", num_samples), 1, len(labels)]
            noise = tf.random.stateless_normal([*shape, self.architecture.dim_z], self._seeds(seed))
        else:
            noise = tf.convert_to_tensor(noise)
            noise = noise[:, None] if noise.shape.rank == 3 else noise
            noise = check_noise(noise, 1, len(labels), self.architecture.dim_z)
        one_hot = tf.one_hot(labels, self.architecture.num_classes)
        log_w = self._bound_weights(x, one_hot, noise, tf.constant(beta, tf.float32))
        return log_mean_exp(log_w, 0) if importance_weighted else tf.reduce_mean(log_w, 0)

    def bound_terms(self, x: Tensor, y: Tensor, noise: Tensor) -> Terms:
        """The terms whose sum is the bound, at samples of q for the given labels.

        Args:
            x: `[B, *input_shape]`.
            y: one-hot `[B, C]`.
            noise: `[K, 1, B, dim_z]`.

        Returns:
            {factor: `[K, 1, B]` or broadcastable}; "q(z|x,y)" holds −log q.
        """
        observed = self.observe(x)
        q = self.q_z_xy(observed, y[None]).distribution
        return self.terms(observed, y[None], q.loc, q.scale, q.loc + q.scale * noise)

    def label_logits(
        self, x: ArrayLike, y: ArrayLike, num_samples: int = 100, seed: int | None = None
    ) -> Tensor:
        """The outputs of the network of p(y|z), before its softmax, at z_k ~ q(z|x, y).

        Attacked by Tramèr et al. 2020: however confident p(y|z) is, they have a gradient.

        Args:
            x: `[B, *input_shape]`.
            y: labels `[B]` that q(z|x, y) is given.
            num_samples: K.
            seed: fixes the draws of z; None: each call draws new ones.

        Returns:
            `[K, B, C]`, nats up to a constant of each row.

        Raises:
            InputError: the model has no p(y|z).
        """
        if not hasattr(self, "p_y_z"):
            raise without_head(type(self).__name__, self.architecture)
        x, a = check_inputs(x, self.architecture.input_shape), self.architecture
        shape = [check_count("num_samples", num_samples), 1, tf.shape(x)[0], a.dim_z]
        noise = tf.random.stateless_normal(shape, self._seeds(seed))
        one_hot = tf.one_hot(tf.convert_to_tensor(y), a.num_classes)
        q = self.q_z_xy(self.observe(x), one_hot[None]).distribution
        return self.p_y_z.parameters(q.loc + q.scale * noise)[:, 0]

    def terms(self, x: Observed, y: Tensor, loc: Tensor, scale: Tensor, z: Tensor) -> Terms:
        """`log_joint` and −log q at z, where q(z|x,y) = N(loc, diag scale²)."""
        log_q = diagonal_normal(loc, scale).log_prob(z)
        return {**self.log_joint(x, y, z), "q(z|x,y)": -log_q}

    def log_weight(self, terms: Terms, beta: Tensor | float = 1.0) -> Tensor:
        """Σ of the terms, with those in `beta_factors` times beta (the published use of beta)."""
        return sum(beta * t if name in self.beta_factors else t for name, t in terms.items())

    @property
    def published_offset(self) -> float:
        """Our log p̂(x, y) minus the published one, nats: a constant of likelihood and p_D(y)."""
        has_p_y = hasattr(self, "p_z_y")
        # The published code uses log 0.1 for p_D(y) whatever the number of classes.
        label = -math.log(self.architecture.num_classes) - math.log(0.1) if has_p_y else 0.0
        pixels = self.architecture.num_pixels * self.likelihood.offset if self.has_p_x else 0.0
        return pixels + label

    @property
    def factors(self) -> tuple[str, ...]:
        """Attribute names of the learned factors of p(x, z, y): p_z_y, p_x_zy …"""
        return tuple(c.name for c in self.conditionals() if c is not self.q_z_xy)

    @property
    def makes_images(self) -> bool:
        """Whether it has p(x|·), for sampling and reconstruction."""
        return self.has_p_x

    @property
    def label_factor(self) -> str | None:
        """The factor p(y|·); None for models that start from p(y)."""
        names = {"p_y_z": "p(y|z)", "p_y_zx": "p(y|z,x)"}
        return next((factor for name, factor in names.items() if hasattr(self, name)), None)

    def _bound_log_weights(self, x: Tensor, y: Tensor, noise: Tensor, beta: Tensor) -> Tensor:
        return self.log_weight(self.bound_terms(x, y, noise), beta)[:, 0]

    def _seeds(self, seed: int | Tensor | None) -> Tensor:
        return next_seeds(self.generator, seed, self.seed)
