"""The deep Bayes classifier: Bayes' rule by importance sampling on a latent-variable model."""

import dataclasses
import functools
from typing import Any

import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import (
    ArrayLike,
    Tensor,
    effective_sample_size,
    logits_of,
    transposed,
)
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_inputs, check_noise
from tf_deepbayes.inference.latent_model import TermsFn
from tf_deepbayes.inference.log_weights import InferenceGraphs, gradients_freed_with
from tf_deepbayes.inference.noise import INDEPENDENT, SCHEMES, fixed_noise
from tf_deepbayes.inference.proposals import proposal_of
from tf_deepbayes.inference.sampling import Raced, Sampling, raced
from tf_deepbayes.models.latent_variable_model import LatentVariableModel

# Terms per block. Decoding a term takes 62 kB of activations at MNIST sizes; blocks of 1000 are 3%
# faster than 500, blocks of 100 are 14% slower: 500 is about as fast with half the memory.
BLOCK_SIZE_DECODER, BLOCK_SIZE_DENSE = 500, 20_000
FIELDS = {field.name for field in dataclasses.fields(Sampling)}


class LatentClassifier(LatentVariableModel):
    """A classifier p(y|x) ∝ p(x, y), estimated with K samples of q(z|x,y) for each class.

    Attributes:
        block_size: terms (sample, class, image) evaluated at a time: trades memory for speed.
        terms_fn: replaces `terms`, for example with a compiled version (`xla.compile_terms`).
    """

    is_random = True  # its logits depend on draws of z

    def __init__(self, architecture: Architecture, likelihood: str = "l2", seed: int = 0) -> None:
        super().__init__(architecture, likelihood, seed)
        self.block_size = BLOCK_SIZE_DECODER if self.has_p_x else BLOCK_SIZE_DENSE
        self.terms_fn: TermsFn | None = None
        self._inference: dict[str, InferenceGraphs] = {}

    def log_weights(
        self,
        x: ArrayLike,
        noise: ArrayLike | None = None,
        sampling: Sampling | int | None = None,
        *,
        beta: float = 1.0,
        factor: str | None = None,
        save_activations: bool = True,
        **options: Any,
    ) -> Tensor:
        """log p(x, z_k^c, y_c) − log q(z_k^c | x, y_c), the published "snapshot" logits.

        Its gradient is with respect to x only (`input_gradient`), in the memory of one block; the
        weights are trained through `bound`.

        Args:
            x: `[B, *input_shape]`, pixels in [0, 1].
            noise: standard normal `[K, C, B, dim_z]`, C and B may be 1; drawn when not given.
            sampling: how noise is drawn; its fields may also be keywords (`num_samples=100`).
            beta: the published beta; 1 is Bayes' rule.
            factor: only this factor's log density, such as "p(y|z)", at the same samples
                (attacked by Tramèr et al. 2020).
            save_activations: save activations for the gradient: faster, but takes memory.

        Returns:
            `[K, C, B]`, nats, including the normalising constants of the likelihood
            (`published_offset` above the published values). With a mixture
            `[K·C, C, B]`: log p(x, z_j, y_c) − log q_mix(z_j|x) of every class's draws, those of
            the first sample first. In a race a class that was left out has its estimate in the
            place of the draws it did not get.
        """
        x = check_inputs(x, self.architecture.input_shape)
        sampling = Sampling.of(sampling, **options)
        self.check_scheme(sampling.scheme)
        if x.shape[0] == 0:
            own = self.architecture.num_classes if SCHEMES[sampling.scheme].mixture else 1
            return tf.zeros([sampling.num_samples * own, self.architecture.num_classes, 0])
        if sampling.race is not None:
            if noise is not None:
                raise InputError("a race draws its own noise; leave out noise or race")
            options = {"factor": factor, "beta": beta, "save_activations": save_activations}
            return self._raced(x, sampling, **options)[0]
        graphs = self._graphs(factor, sampling.scheme, save_activations)
        sizes = self._block_size(sampling.scheme), tf.constant(beta, tf.float32)
        if noise is None and sampling.mode == "sample":
            seeds, num_samples = self._seeds(sampling.seed), tf.constant(sampling.num_samples)
            with gradients_freed_with(self):
                return graphs.seeded(x, seeds, num_samples, *sizes)
        if noise is None:
            noise = self._fixed_noise(sampling)
        else:
            num_classes, dim_z = self.architecture.num_classes, self.architecture.dim_z
            noise = check_noise(noise, num_classes, x.shape[0], dim_z)
        with gradients_freed_with(self):
            return graphs.given_noise[sampling.mode == "zero"](x, noise, *sizes)

    def fixed_log_weights(
        self,
        x: ArrayLike,
        num_samples: int = 10,
        seed: int = 0,
        scheme: str = INDEPENDENT,
        **options: Any,
    ) -> Tensor:
        """`log_weights` with the seed's K draws of `fixed_noise`; mode "fixed" has seed 0."""
        a = self.architecture
        noise = fixed_noise(num_samples, a.dim_z, seed, scheme, a.num_classes)
        return self.log_weights(x, noise, scheme=scheme, **options)

    def snapshots(
        self,
        x: ArrayLike,
        noise: ArrayLike | None = None,
        sampling: Sampling | int | None = None,
        **options: Any,
    ) -> Tensor:
        """Logits of each sample alone, `[K, C, B]` (arguments as for `log_weights`).

        They are the log weights; a snapshot of a mixture is made of the k-th draw of every class:
        the log-mean-exp of C points.
        """
        sampling = Sampling.of(sampling, **{n: options.pop(n) for n in FIELDS & set(options)})
        log_w = self.log_weights(x, noise, sampling, **options)
        return proposal_of(sampling.scheme).snapshots(log_w)

    def logits(
        self,
        x: ArrayLike,
        noise: ArrayLike | None = None,
        sampling: Sampling | int | None = None,
        **options: Any,
    ) -> Tensor:
        """log p̂(x, y_c) = logmeanexp_k of `log_weights` (same arguments) → `[B, C]`, nats."""
        return logits_of(self.log_weights(x, noise, sampling, **options))

    def call(self, x: Tensor) -> Tensor:
        """`logits(x)` with K = 10 fresh samples."""
        return self.logits(x)

    def raced_logits(
        self, x: ArrayLike, sampling: Sampling | int | None = None, **options: Any
    ) -> Raced:
        """`logits` of a race (`sampling.race`; options as for `log_weights`), and who was left out.

        What a class draws is what it draws without a race: the logits of the others are the same.
        """
        sampling = Sampling.of(sampling, **{n: options.pop(n) for n in FIELDS & set(options)})
        x = check_inputs(x, self.architecture.input_shape)
        log_w, left_out = self._raced(x, sampling, **options)
        return Raced(logits_of(log_w), transposed(left_out))

    def class_logits(
        self,
        x: ArrayLike,
        wanted: ArrayLike,
        sampling: Sampling | int | None = None,
        *,
        factor: str | None = None,
        always: ArrayLike | None = None,
        **options: Any,
    ) -> Tensor:
        """`logits` of only the wanted classes (`[B, C]` bool); the others are −1e30.

        For attacks: the gradient leaves out terms below a thousandth of the largest. A mixture is
        then that of the wanted classes' draws, a race one between them.

        Args:
            always: `[B, C]` bool: classes that no race leaves out.
        """
        x = check_inputs(x, self.architecture.input_shape)
        sampling, pairs = Sampling.of(sampling, **options), transposed(wanted)
        self.check_scheme(sampling.scheme)
        kept = None if always is None else transposed(always)
        return logits_of(self._raced(x, sampling, pairs, kept, factor=factor, for_attack=True)[0])

    def _raced(
        self,
        x: Tensor,
        sampling: Sampling,
        wanted: Tensor | None = None,
        always: Tensor | None = None,
        *,
        factor: str | None = None,
        beta: float = 1.0,
        save_activations: bool = True,
        for_attack: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """See `sampling.raced`; classes `[C, B]`."""
        graphs = self._graphs(factor, sampling.scheme, save_activations)
        given = self._seeds(sampling.seed), self._block_size(sampling.scheme), tf.constant(beta)
        if wanted is None:
            wanted = tf.ones([self.architecture.num_classes, tf.shape(x)[0]], tf.bool)
        with gradients_freed_with(self):
            some = functools.partial(graphs.some_samples, for_attack, x, *given)
            return raced(some, sampling, wanted, always)

    def effective_sample_size(
        self,
        x: ArrayLike,
        noise: ArrayLike | None = None,
        sampling: Sampling | int | None = None,
        **options: Any,
    ) -> Tensor:
        """(Σ_k w)² / Σ_k w² → `[B, C]`, from 1 (one sample has all the weight) to K.

        With a mixture the sums are over all K·C draws, so that it is at most K·C.
        """
        return effective_sample_size(self.log_weights(x, noise, sampling, **options))

    def check_scheme(self, scheme: str) -> None:
        """InputError for a mixture where the decoder needs the class."""
        if SCHEMES[scheme].mixture and hasattr(self, "p_x_zy"):
            raise InputError(
                f"noise {scheme} lets one decode serve all classes, and {type(self).__name__} "
                "decodes with the class, p(x|z,y); use noise shared"
            )

    def _block_size(self, scheme: str) -> Tensor:
        """Points evaluated at a time: a decode each, or in a mixture without one C terms each."""
        several = SCHEMES[scheme].mixture and not self.has_p_x
        size = self.block_size // (self.architecture.num_classes if several else 1)
        return tf.constant(max(size, 1))

    def _graphs(
        self, factor: str | None, scheme: str = INDEPENDENT, save_activations: bool = True
    ) -> InferenceGraphs:
        """One set for all factors together, one for each factor used alone."""
        saves = save_activations and self.has_p_x and self.terms_fn is None
        key = f"{factor} {scheme} {saves}"
        if key not in self._inference:
            p_x = (self.p_x_z if hasattr(self, "p_x_z") else self.p_x_zy) if saves else None
            dtypes = p_x.network.saved_dtypes if p_x is not None else ()
            self._inference[key] = InferenceGraphs(self, factor, scheme, dtypes)
        return self._inference[key]

    def _fixed_noise(self, sampling: Sampling) -> Tensor:
        """The noise of a mode that draws no new noise; z itself for "zero"."""
        a = self.architecture
        if sampling.mode == "fixed":
            own = sampling.num_samples, a.dim_z, 0, sampling.scheme, a.num_classes
            return fixed_noise(*own)
        return tf.zeros([1, 1, 1, a.dim_z])
