"""The deep latent-variable classifier: training bound, importance weights, logits.

A subclass names its factors and nothing else; inference and training are fixed here.
"""

import abc
import functools
import math
from typing import Any

import keras
import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import (
    ArrayLike,
    Distribution,
    Tensor,
    Terms,
    effective_sample_size,
    log_mean_exp,
    logits_of,
)
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_inputs, check_labels, check_noise
from tf_deepbayes.inference.latent_model import Observed
from tf_deepbayes.inference.log_weights import InferenceGraphs
from tf_deepbayes.inference.noise import INDEPENDENT, check_scheme, fixed_noise, next_seeds
from tf_deepbayes.models.layers import likelihoods
from tf_deepbayes.models.layers.conditionals import ConditionalFactory, diagonal_normal

# Terms per block. A decode holds 62 kB of activations at MNIST sizes; 1000 of them at a time are 3%
# faster than 500 and 100 of them 14% slower, so that 500 is half the memory for the same speed.
BLOCK_SIZE_DECODER, BLOCK_SIZE_DENSE = 500, 20_000
MODES = ("sample", "mean", "fixed", "zero")


class LatentClassifier(keras.Model, abc.ABC):
    """A classifier p(y|x) ∝ p(x, y) with p(x, z, y) a product of factors and a learned q(z|x,y).

    Args:
        architecture: sizes of the networks.
        likelihood: name of p(x|·), see `tf_deepbayes.models.layers.likelihoods`.
        seed: of the initial weights, of the training noise and of noise that is not given.
    """

    beta_factors: tuple[str, ...] = ()  # the log densities that the published beta scales

    def __init__(self, architecture: Architecture, likelihood: str = "l2", seed: int = 0) -> None:
        # float32 whatever the precision of the networks: this is where densities are summed.
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
        self.block_size = BLOCK_SIZE_DECODER if self.has_p_x else BLOCK_SIZE_DENSE
        self.keeps_decodes = self.has_p_x  # faster gradients, more memory: `saved_activations`
        self.generator = tf.random.Generator.from_seed(seed)
        self.built = True
        self._cached_graphs = functools.cache(functools.partial(InferenceGraphs, self))

    @abc.abstractmethod
    def build_factors(self, make: ConditionalFactory) -> None:
        """Set the conditionals `p_…` of this factorisation."""

    @abc.abstractmethod
    def log_joint(self, x: Observed, y: Tensor, z: Tensor) -> Terms:
        """{factor: log density}, broadcastable to `[K, C, B]`; y one-hot `[C or 1, B or 1, C]`."""

    @property
    def p_z(self) -> Distribution:
        """N(0, I), made anew: its constants belong to the graph that uses it, and leave with it."""
        return diagonal_normal(tf.zeros(self.architecture.dim_z), tf.ones(self.architecture.dim_z))

    def latent_prior(self, y: Tensor) -> Distribution:
        """p(z) or p(z|y): where z comes from when an image is generated."""
        return self.p_z

    def log_p_y(self, y: Tensor) -> Tensor:
        """Uniform p_D(y): −log C."""
        return tf.fill(tf.shape(y)[:-1], -math.log(self.architecture.num_classes))

    def log_p_x(self, x: Observed) -> Tensor:
        """p_D(x) of the discriminative models: nothing is modelled, 0."""
        return tf.zeros(tf.shape(x.pixels)[0])

    def observe(self, x: Tensor) -> Observed:
        """x `[B, *input_shape]` with all that depends on it alone, computed once."""
        pixels = self.likelihood.transform(x)
        lookers = [c for c in self.conditionals() if c.features is not None]
        return Observed(pixels, {c.name: tf.cast(c.features(pixels), tf.float32) for c in lookers})

    def conditionals(self) -> list[keras.layers.Layer]:
        """q(z|x,y) and the learned factors."""
        return [layer for layer in self.layers if hasattr(layer, "parameters")]

    def log_weights(
        self,
        x: ArrayLike,
        noise: ArrayLike | None = None,
        num_samples: int = 10,
        *,
        mode: str = "sample",
        seed: int | None = None,
        beta: float = 1.0,
        factor: str | None = None,
        scheme: str = INDEPENDENT,
    ) -> Tensor:
        """log p(x, z_k^c, y_c) − log q(z_k^c | x, y_c), the published "snapshot" logits.

        Its gradient is that with respect to x (`input_gradient`), in the memory of one block; the
        weights are trained through `bound`.

        Args:
            x: `[B, *input_shape]`, pixels in [0, 1].
            noise: standard normal `[K, C, B, dim_z]`, C and B may be 1; drawn when not given.
            num_samples: K of drawn noise.
            mode: "sample"; "mean" z = mean of q, K = 1; "fixed" the same K draws for every image,
                class and call; "zero" z = 0, K = 1.
            seed: makes drawn noise a function of the seed; otherwise each call draws anew.
            beta: the published beta; 1 is Bayes' rule.
            factor: this factor's log density alone, such as "p(y|z)", at the same samples
                (attacked by Tramèr et al. 2020).
            scheme: how drawn noise is made, one of `noise.SCHEMES`.

        Returns:
            `[K, C, B]`, nats, with the normalising constants of the likelihood
            (`published_offset` above the published values).
        """
        x = check_inputs(x, self.architecture.input_shape)
        block, beta = tf.constant(self.block_size), tf.constant(beta, tf.float32)
        if mode not in MODES:
            raise InputError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
        dim_z, graphs = self.architecture.dim_z, self._graphs(factor, scheme)
        if noise is not None:
            noise = check_noise(noise, self.architecture.num_classes, x.shape[0], dim_z)
            return graphs.from_noise(x, noise, block, beta)
        check_scheme(scheme, check_count("num_samples", num_samples), mode)
        if mode == "mean":
            return graphs.from_noise(x, tf.zeros([1, 1, 1, dim_z]), block, beta)
        if mode == "fixed":
            fixed = fixed_noise(num_samples, dim_z, scheme=scheme)
            return graphs.from_noise(x, fixed, block, beta)
        if mode == "zero":
            return graphs.at(x, tf.zeros([1, 1, 1, dim_z]), block, beta)
        seeds = self._seeds(seed)
        return graphs.from_seed(x, seeds, tf.constant(num_samples), block, beta)

    def fixed_log_weights(
        self, x: ArrayLike, num_samples: int = 10, seed: int = 0, scheme: str = INDEPENDENT
    ) -> Tensor:
        """`log_weights` with the K draws of `fixed_noise` of the seed: mode "fixed" has seed 0."""
        return self.log_weights(x, fixed_noise(num_samples, self.architecture.dim_z, seed, scheme))

    def logits(
        self, x: ArrayLike, noise: ArrayLike | None = None, num_samples: int = 10, **options: Any
    ) -> Tensor:
        """log p̂(x, y_c) = logmeanexp_k of `log_weights` (same arguments) → `[B, C]`, nats."""
        log_w = self.log_weights(x, noise, num_samples, **options)
        return logits_of(log_w)

    def features(self, x: Tensor) -> Tensor:
        """The features of x that q(z|x,y) sees, `[B, size]`."""
        return self.observe(x).features[self.q_z_xy.name]

    def call(self, x: Tensor) -> Tensor:
        """`logits(x)` with K = 10 fresh samples."""
        return self.logits(x)

    def class_logits(
        self,
        x: ArrayLike,
        wanted: ArrayLike,
        num_samples: int = 10,
        *,
        seed: int | None = None,
        factor: str | None = None,
        scheme: str = INDEPENDENT,
    ) -> Tensor:
        """`logits` of the wanted classes only `[B, C]` bool; the others are −1e30.

        For attacks: the gradient leaves out terms below a thousandth of the largest.
        """
        x, seeds = check_inputs(x, self.architecture.input_shape), self._seeds(seed)
        check_scheme(scheme, num_samples)
        graph, beta = self._graphs(factor, scheme).some_from_seed, tf.constant(1.0)
        sizes = tf.constant(num_samples), tf.constant(self.block_size)
        pairs = tf.transpose(tf.cast(wanted, tf.float32)) > 0.0  # no kernel transposes bools
        log_w = graph(x, seeds, *sizes, beta, pairs)
        return logits_of(log_w)

    def effective_sample_size(
        self, x: ArrayLike, noise: ArrayLike | None = None, num_samples: int = 10, **options: Any
    ) -> Tensor:
        """(Σ_k w)² / Σ_k w² → `[B, C]`, between 1 (one sample carries all weight) and K."""
        return effective_sample_size(self.log_weights(x, noise, num_samples, **options))

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
        if noise is None:
            shape = [check_count("num_samples", num_samples), 1, len(labels)]
            noise = tf.random.stateless_normal([*shape, self.architecture.dim_z], self._seeds(seed))
        else:
            noise = tf.convert_to_tensor(noise)
            noise = noise[:, None] if noise.shape.rank == 3 else noise
            noise = check_noise(noise, 1, len(labels), self.architecture.dim_z)
        one_hot = tf.one_hot(labels, self.architecture.num_classes)
        log_w = self._graphs(None).bound_weights(x, one_hot, noise, tf.constant(beta, tf.float32))
        return log_mean_exp(log_w, 0) if importance_weighted else tf.reduce_mean(log_w, 0)

    def bound_terms(self, x: Tensor, y: Tensor, noise: Tensor) -> Terms:
        """The terms whose sum is the bound, of q's samples at the label itself.

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

    def terms(self, x: Observed, y: Tensor, loc: Tensor, scale: Tensor, z: Tensor) -> Terms:
        """`log_joint` and −log q at z, where q(z|x,y) = N(loc, diag scale²)."""
        log_q = diagonal_normal(loc, scale).log_prob(z)
        return {**self.log_joint(x, y, z), "q(z|x,y)": -log_q}

    def log_weight(self, terms: Terms, beta: Tensor | float = 1.0) -> Tensor:
        """Σ of the terms, those in `beta_factors` times beta (the published use of beta)."""
        return sum(beta * t if name in self.beta_factors else t for name, t in terms.items())

    @property
    def published_offset(self) -> float:
        """Our log p̂(x, y) minus the published one, nats: a constant of likelihood and p_D(y)."""
        has_p_y = hasattr(self, "p_z_y")
        # The published code has log 0.1 for p_D(y) whatever the number of classes.
        label = -math.log(self.architecture.num_classes) - math.log(0.1) if has_p_y else 0.0
        pixels = self.architecture.num_pixels * self.likelihood.offset if self.has_p_x else 0.0
        return pixels + label

    @property
    def saved_dtypes(self) -> list[tf.DType]:
        """Of what a decode keeps for its gradient (`saved_activations.saving`)."""
        if not self.keeps_decodes:
            return []
        p_x = self.p_x_z if hasattr(self, "p_x_z") else self.p_x_zy
        return p_x.network.saved_dtypes

    @property
    def label_factor(self) -> str | None:
        """The factor p(y|·); None in the models that start from p(y)."""
        names = {"p_y_z": "p(y|z)", "p_y_zx": "p(y|z,x)"}
        return next((factor for name, factor in names.items() if hasattr(self, name)), None)

    def _graphs(self, factor: str | None, scheme: str = INDEPENDENT) -> InferenceGraphs:
        """One set for all factors together, one for each factor asked for alone."""
        return self._cached_graphs(factor, scheme, tuple(self.saved_dtypes))

    def _seeds(self, seed: int | None) -> Tensor:
        return next_seeds(self.generator, seed, self.seed)
