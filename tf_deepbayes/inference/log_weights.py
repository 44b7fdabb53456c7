"""Importance weights as compiled graphs: all classes and samples, in bounded memory."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

from tf_deepbayes.core.axes import EXACT_TOLERANCE, Tensor, compiled, map_blocks
from tf_deepbayes.inference.blocks import Block, TermBlocks
from tf_deepbayes.inference.encoding import Encoding
from tf_deepbayes.inference.input_gradient import input_gradient
from tf_deepbayes.inference.latent_model import LatentModel
from tf_deepbayes.inference.noise import INDEPENDENT, NoiseSource, noise_source
from tf_deepbayes.inference.proposals import NOT_EVALUATED, Density, proposal_of
from tf_deepbayes.inference.saved_activations import SavedActivations, saving

# An attack's gradient leaves out terms below this share of the largest coefficient: at most one
# percent of the coefficients' sum, far less than the difference between two draws of the noise.
ATTACK_TOLERANCE = 1e-3


class InferenceGraphs:
    """The log weights of one classifier, or one factor of them, traced once for all sizes.

    What depends on x alone, and q(z|x,y) for every class, is computed once per image; the samples
    follow in blocks of at most about `block_size` (sample, class, image) terms, so the memory of a
    forward pass does not grow with K.

    Args:
        factor: only this factor's log density.
        scheme: how seeds become noise and whom the draws serve, one of `noise.SCHEMES`. With a
            mixture there are K·C log weights instead of K, sample 0 of every class first.
        saved_dtypes: dtypes of the activations that decoding saves for the gradient
            (`saved_activations`); terms that are not saved are decoded again.

    Attributes:
        given_noise: is_z → (x, noise `[K, C, B, dim_z]`, or z itself, block size, beta) →
            `[K, C, B]`.
        seeded: (x, seeds `[2]`, K, block size, beta) → `[K, C, B]`.
        seeded_some_classes: for attacks → (x, seeds, K, block size, beta, wanted `[C, B]`, first
            sample) → `[K, C, B]`, `NOT_EVALUATED` for unwanted (class, image) pairs. For attacks
            the gradient has `ATTACK_TOLERANCE`.
    """

    def __init__(
        self,
        model: LatentModel,
        factor: str | None = None,
        scheme: str = INDEPENDENT,
        saved_dtypes: Sequence[tf.DType] = (),
    ) -> None:
        self.architecture, self.scheme = model.architecture, scheme
        self.density = Density(model, factor)
        of_pixels = factor is None or factor.startswith("p(x|")
        self.saved_dtypes = saved_dtypes if of_pixels else ()
        x = tf.TensorSpec([None, *self.architecture.input_shape], tf.float32)
        noise = tf.TensorSpec([None, None, None, self.architecture.dim_z], tf.float32)
        whole, real = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
        seeded = x, tf.TensorSpec([2], tf.int64), whole, whole, real
        wanted = tf.TensorSpec([self.architecture.num_classes, None], tf.bool)
        self.given_noise = {
            is_z: compiled(functools.partial(self._given_noise, is_z), x, noise, whole, real)
            for is_z in (False, True)
        }
        self.seeded = compiled(self._seeded, *seeded)
        self.seeded_some_classes = {
            attacks: compiled(
                functools.partial(self._seeded_some_classes, tolerance), *seeded, wanted, whole
            )
            for attacks, tolerance in ((True, ATTACK_TOLERANCE), (False, EXACT_TOLERANCE))
        }

    def some_samples(
        self,
        for_attack: bool,
        x: Tensor,
        seeds: Tensor,
        block_size: Tensor,
        beta: Tensor,
        first: int,
        count: int,
        wanted: Tensor,
    ) -> Tensor:
        """`seeded_some_classes` of the samples from `first` on, `[count, C, B]`."""
        given = x, seeds, tf.constant(count), block_size, beta, wanted, tf.constant(first)
        return self.seeded_some_classes[for_attack](*given)

    def _given_noise(
        self, is_z: bool, x: Tensor, noise: Tensor, block_size: Tensor, beta: Tensor
    ) -> Tensor:
        source = NoiseSource(lambda first, last: noise[first:last], is_z)
        return self._log_weights(x, source, tf.shape(noise)[0], block_size, beta)

    def _seeded(
        self, x: Tensor, seeds: Tensor, num_samples: Tensor, block_size: Tensor, beta: Tensor
    ) -> Tensor:
        return self._log_weights(x, self._noise(seeds, x), num_samples, block_size, beta)

    def _seeded_some_classes(
        self,
        tolerance: float,
        x: Tensor,
        seeds: Tensor,
        num_samples: Tensor,
        block_size: Tensor,
        beta: Tensor,
        wanted: Tensor,
        first: Tensor,
    ) -> Tensor:
        source = self._noise(seeds, x).starting_at(first)
        terms = self._terms(x, source, num_samples, block_size, beta, wanted)
        forward = functools.partial(some_terms, saved_dtypes=self.saved_dtypes)
        return log_weights(forward, x, terms, tolerance)

    def _noise(self, seeds: Tensor, x: Tensor) -> NoiseSource:
        """Sample k's noise depends on the seeds and k alone: the same for every block size."""
        num_classes, dim_z = self.architecture.num_classes, self.architecture.dim_z
        return noise_source(self.scheme, seeds, num_classes, tf.shape(x)[0], dim_z)

    def _log_weights(
        self, x: Tensor, source: NoiseSource, num_samples: Tensor, block_size: Tensor, beta: Tensor
    ) -> Tensor:
        terms = self._terms(x, source, num_samples, block_size, beta)
        rows = functools.partial(some_terms, saved_dtypes=self.saved_dtypes)
        return log_weights(rows if self.saved_dtypes else all_terms, x, terms, EXACT_TOLERANCE)

    def _terms(
        self,
        x: Tensor,
        source: NoiseSource,
        num_samples: Tensor,
        block_size: Tensor,
        beta: Tensor,
        wanted: Tensor | None = None,
    ) -> TermBlocks:
        sizes = self.architecture.num_classes, tf.shape(x)[0]
        pairs = tf.cast(tf.where(tf.ones(sizes) > 0.0 if wanted is None else wanted), tf.int32)
        density = self.density._replace(beta=beta)
        proposal = proposal_of(self.scheme, wanted)
        return TermBlocks(density, source, num_samples, pairs, sizes, block_size, proposal)


# (x, terms) → log weights [K, C, B] and the activations saved for their gradient
Forward = Callable[[Tensor, TermBlocks], tuple[Tensor, SavedActivations]]


def log_weights(forward: Forward, x: Tensor, terms: TermBlocks, tolerance: float) -> Tensor:
    """log w of the terms, `[K, C, B]`; `input_gradient` is its gradient: first order, x only.

    Args:
        forward: `all_terms` or `some_terms`.
        tolerance: see `input_gradient`.
    """

    model = terms.density.model
    # TensorFlow never frees what `gradient` holds, so it must not hold the model.
    weak = terms._replace(density=terms.density._replace(model=weakref.proxy(model)))
    model_ref = weakref.ref(model)

    @tf.custom_gradient
    def function(x: Tensor) -> tuple[Tensor, Callable[..., Any]]:
        log_w, saved = forward(x, terms)

        def gradient(upstream: Tensor, variables: Sequence[tf.Variable] = ()) -> Any:
            with gradients_freed_with(model_ref()):  # type: ignore[arg-type]
                slope = input_gradient(weak, saved, x, upstream, tolerance)
            slope = tf.stop_gradient(slope)  # else TensorFlow prepares higher-order derivatives
            return (slope, [None] * len(variables)) if variables else slope

        return log_w, gradient

    return function(x)


@contextlib.contextmanager
def gradients_freed_with(model: LatentModel) -> Iterator[None]:
    """Free the gradients that TensorFlow registers inside when the model is freed.

    TensorFlow keeps the gradients of functions traced in a graph by name until the process ends,
    and with each its graph and the weights it captures.
    """
    registered = ops.gradient_registry._registry
    before = set(registered)
    try:
        yield
    finally:
        for name in set(registered) - before:
            weakref.finalize(model, registered.pop, name, None).atexit = False


def some_terms(
    x: Tensor, terms: TermBlocks, saved_dtypes: Sequence[tf.DType] = ()
) -> tuple[Tensor, SavedActivations]:
    """The chosen terms one by one, `NOT_EVALUATED` elsewhere: for decoders or some classes only."""
    found = tf.TensorArray(tf.float32, 0, dynamic_size=True, infer_shape=False)

    def visit(
        block: Block, state: tuple[tf.TensorArray, SavedActivations]
    ) -> tuple[tf.TensorArray, SavedActivations]:
        found, saved = state
        with saving() as rows:
            log_w = block.log_weights()
        if saved_dtypes:
            saved = saved.plus(block.index, rows)
        return found.write(block.index, log_w), saved

    encoding = Encoding.of(terms.density.model, x)
    found, saved = terms.fold(encoding, visit, (found, SavedActivations.nothing(saved_dtypes)))
    (num_classes, batch), width = terms.sizes, terms.width
    points = [terms.num_samples, tf.shape(terms.pairs)[0], width]
    log_w = tf.transpose(tf.reshape(found.concat(), points), [1, 0, 2])
    every = tf.fill([num_classes, batch, terms.num_samples, width], NOT_EVALUATED)
    every = tf.tensor_scatter_nd_update(every, terms.pairs, log_w)
    # A point's log weights are one row of its class, or a row of every class.
    rows = terms.num_samples * width
    log_w = tf.reshape(tf.transpose(every, [2, 0, 3, 1]), [rows, num_classes, batch])
    return tf.ensure_shape(log_w, [None, num_classes, x.shape[0]]), saved


def all_terms(x: Tensor, terms: TermBlocks) -> tuple[Tensor, SavedActivations]:
    """Every term; what depends on the image alone is computed once. For models without decoder."""
    source, num_samples, block_size = terms.noise, terms.num_samples, terms.block_size
    num_classes, batch = terms.sizes
    encoding = Encoding.of(terms.density.model, x)
    # Whole batches with a few samples where they fit, else one sample of a few images.
    samples = tf.clip_by_value(block_size // tf.maximum(num_classes * batch, 1), 1, num_samples)
    images = tf.clip_by_value(block_size // (num_classes * samples), 1, tf.maximum(batch, 1))

    def sample_block(first: Tensor, last: Tensor) -> Tensor:
        noise = source.noise(first, last)
        shared = tf.shape(noise)[2] < batch

        def image_block(start: Tensor, stop: Tensor) -> Tensor:
            own = tf.cond(shared, lambda: noise, lambda: noise[:, :, start:stop])
            rows = encoding.images(start, stop)
            log_w = terms.proposal.at_once(terms.density, rows, own, source.is_z)
            return tf.transpose(log_w, [2, 1, 0])

        return tf.transpose(map_blocks(image_block, batch, images), [2, 1, 0])

    log_w = map_blocks(sample_block, num_samples, samples)
    return tf.ensure_shape(log_w, [None, num_classes, x.shape[0]]), SavedActivations.nothing([])
