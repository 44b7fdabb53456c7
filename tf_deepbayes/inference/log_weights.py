"""Importance weights as compiled graphs: all classes and samples at once, in bounded memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_deepbayes.core.axes import EXACT_TOLERANCE, Tensor, Terms, map_blocks
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.inference.input_gradient import input_gradient
from tf_deepbayes.inference.latent_model import LatentModel
from tf_deepbayes.inference.noise import INDEPENDENT, NoiseSource, noise_source
from tf_deepbayes.inference.saved_activations import SavedActivations, saving
from tf_deepbayes.inference.terms import Block, Encoding, TermBlocks

# Stands for the log weight of a term that was not evaluated; finite, so that gradients are.
NOT_EVALUATED = -1e30
# What an attack's gradient leaves out, as a share of the largest coefficient: at most a percent
# of the coefficients' sum, far below what another draw of the noise changes.
ATTACK_TOLERANCE = 1e-3


class InferenceGraphs:
    """The log weights of one classifier, or one factor of them, traced once for all sizes.

    Seeds become noise by one of `noise.SCHEMES`. `saved_dtypes` says what decodes keep for the
    gradient (`saved_activations`), which decodes again what they did not.

    What depends on x alone, and q(z|x,y) of every class, is computed once per image; the samples
    follow in blocks of at most about `block` (sample, class, image) terms, so the memory of a
    forward pass does not grow with K.

    Attributes:
        from_noise: (x, noise `[K, C, B, dim_z]`, block, beta) → `[K, C, B]`.
        at: the same with z itself in place of noise.
        from_seed: (x, seeds `[2]`, K, block, beta) → `[K, C, B]`.
        some_from_seed: (x, seeds, K, block, beta, wanted `[C, B]`) → `[K, C, B]`,
            `NOT_EVALUATED` where a pair of class and image is not wanted, with a coarser
            gradient: for attacks.
        bound_weights: (x, one-hot y, noise `[K, 1, B, dim_z]`, beta) → `[K, B]`.
    """

    def __init__(
        self,
        model: LatentModel,
        factor: str | None = None,
        scheme: str = INDEPENDENT,
        saved_dtypes: Sequence[tf.DType] = (),
    ) -> None:
        self.model, self.architecture = model, model.architecture
        self.factor, self.scheme = factor, scheme
        of_pixels = factor is None or factor.startswith("p(x|")
        self.saved_dtypes = saved_dtypes if of_pixels else ()
        x = tf.TensorSpec([None, *self.architecture.input_shape], tf.float32)
        noise = tf.TensorSpec([None, None, None, self.architecture.dim_z], tf.float32)
        y = tf.TensorSpec([None, self.architecture.num_classes], tf.float32)
        whole, real = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
        seeds = tf.TensorSpec([2], tf.int64)
        self.from_noise = _compiled(self._from_noise, x, noise, whole, real)
        self.at = _compiled(self._at, x, noise, whole, real)
        self.from_seed = _compiled(self._from_seed, x, seeds, whole, whole, real)
        wanted = tf.TensorSpec([self.architecture.num_classes, None], tf.bool)
        self.some_from_seed = _compiled(self._some_from_seed, x, seeds, whole, whole, real, wanted)
        self.bound_weights = _compiled(self._bound_weights, x, y, noise, real)

    def log_weight(self, terms: Terms, beta: Tensor) -> Tensor:
        """The sum of the terms, or the one factor."""
        if self.factor is None:
            return self.model.log_weight(terms, beta)
        if self.factor not in terms:
            model, own = type(self.model).__name__, [n for n in terms if not n.startswith("q")]
            raise InputError(
                f"{model} has no factor {self.factor!r}; choose one of {', '.join(own)}"
            )
        return terms[self.factor]

    def _from_noise(self, x: Tensor, noise: Tensor, block: Tensor, beta: Tensor) -> Tensor:
        draw = NoiseSource(lambda first, last: noise[first:last])
        return self._log_weights(x, draw, tf.shape(noise)[0], block, beta)

    def _at(self, x: Tensor, z: Tensor, block: Tensor, beta: Tensor) -> Tensor:
        draw = NoiseSource(lambda first, last: z[first:last], is_z=True)
        return self._log_weights(x, draw, tf.shape(z)[0], block, beta)

    def _from_seed(
        self, x: Tensor, seeds: Tensor, num_samples: Tensor, block: Tensor, beta: Tensor
    ) -> Tensor:
        return self._log_weights(x, self._seeded(seeds, x), num_samples, block, beta)

    def _some_from_seed(
        self,
        x: Tensor,
        seeds: Tensor,
        num_samples: Tensor,
        block: Tensor,
        beta: Tensor,
        wanted: Tensor,
    ) -> Tensor:
        walk = self._walk(x, self._seeded(seeds, x), num_samples, block, beta, wanted)
        return _differentiable(self._one_by_one, walk, x, ATTACK_TOLERANCE)

    def _bound_weights(self, x: Tensor, y: Tensor, noise: Tensor, beta: Tensor) -> Tensor:
        return self.log_weight(self.model.bound_terms(x, y, noise), beta)[:, 0]

    def _seeded(self, seeds: Tensor, x: Tensor) -> NoiseSource:
        """Noise of sample k depends on the seeds and k alone: the same for every block size."""
        num_classes, dim_z = self.architecture.num_classes, self.architecture.dim_z
        return noise_source(self.scheme, seeds, num_classes, tf.shape(x)[0], dim_z)

    def _log_weights(
        self, x: Tensor, draw: NoiseSource, num_samples: Tensor, block: Tensor, beta: Tensor
    ) -> Tensor:
        every = tf.ones([self.architecture.num_classes, tf.shape(x)[0]], tf.bool)
        walk = self._walk(x, draw, num_samples, block, beta, every)
        forward = self._one_by_one if self.saved_dtypes else self._all_at_once
        return _differentiable(forward, walk, x, EXACT_TOLERANCE)

    def _walk(
        self,
        x: Tensor,
        draw: NoiseSource,
        num_samples: Tensor,
        block: Tensor,
        beta: Tensor,
        wanted: Tensor,
    ) -> TermBlocks:
        pairs = tf.cast(tf.where(wanted), tf.int32)
        sizes = self.architecture.num_classes, tf.shape(x)[0]
        log_weight = functools.partial(self.log_weight, beta=beta)
        return TermBlocks(self.model, log_weight, draw, num_samples, pairs, sizes, block)

    def _one_by_one(self, walk: TermBlocks, x: Tensor) -> tuple[Tensor, SavedActivations]:
        """The terms of the walk, one by one; the rest is `NOT_EVALUATED`."""
        found = tf.TensorArray(tf.float32, 0, dynamic_size=True, infer_shape=False)

        def visit(
            block: Block, state: tuple[tf.TensorArray, SavedActivations]
        ) -> tuple[tf.TensorArray, SavedActivations]:
            found, kept = state
            with saving() as rows:
                log_w = block.of.log_weights(block.terms)
            if self.saved_dtypes:
                kept = kept.plus(block.index, rows)
            return found.write(block.index, log_w), kept

        state = found, SavedActivations.nothing(self.saved_dtypes)
        found, kept = walk.over(Encoding.of(self.model, x), visit, state)
        log_w = tf.transpose(tf.reshape(found.concat(), [walk.num_samples, -1]))
        every = tf.fill([*walk.sizes, walk.num_samples], NOT_EVALUATED)
        every = tf.tensor_scatter_nd_update(every, walk.pairs, log_w)
        log_w = tf.transpose(every, [2, 0, 1])
        return tf.ensure_shape(log_w, [None, walk.sizes[0], x.shape[0]]), kept

    def _all_at_once(self, walk: TermBlocks, x: Tensor) -> tuple[Tensor, SavedActivations]:
        """Every term, with what depends on the image alone computed once: without a decoder."""
        log_weight, draw, num_samples, block = (
            walk.log_weight,
            walk.draw,
            walk.num_samples,
            walk.block,
        )
        num_classes, batch = walk.sizes
        y = tf.eye(num_classes)[:, None, :]
        leaves = Encoding.of(self.model, x)
        # Whole batches of a few samples where they fit, else one sample of a few images.
        samples = tf.clip_by_value(block // tf.maximum(num_classes * batch, 1), 1, num_samples)
        images = tf.clip_by_value(block // (num_classes * samples), 1, tf.maximum(batch, 1))

        def sample_block(first: Tensor, last: Tensor) -> Tensor:
            noise = draw.noise(first, last)
            shared = tf.shape(noise)[2] < batch

            def image_block(start: Tensor, stop: Tensor) -> Tensor:
                loc, scale = leaves.loc[:, start:stop], leaves.scale[:, start:stop]
                own = tf.cond(shared, lambda: noise, lambda: noise[:, :, start:stop])
                z = own if draw.is_z else loc + scale * own
                terms = self.model.terms(leaves.observed.images(start, stop), y, loc, scale, z)
                return tf.transpose(log_weight(terms), [2, 1, 0])

            return tf.transpose(map_blocks(image_block, batch, images), [2, 1, 0])

        log_w = map_blocks(sample_block, num_samples, samples)
        return tf.ensure_shape(log_w, [None, num_classes, x.shape[0]]), SavedActivations.nothing([])


def _differentiable(
    forward: Callable[[TermBlocks, Tensor], tuple[Tensor, SavedActivations]],
    walk: TermBlocks,
    x: Tensor,
    negligible: float,
) -> Tensor:
    """The log weights of a walk, with `input_gradient`: first order, for x alone."""

    @tf.custom_gradient
    def function(x: Tensor) -> tuple[Tensor, Callable[..., Any]]:
        log_w, kept = forward(walk, x)

        def gradient(upstream: Tensor, variables: Sequence[tf.Variable] = ()) -> Any:
            # Without the stop, TensorFlow prepares derivatives of any order.
            slope = tf.stop_gradient(input_gradient(walk, kept, x, upstream, negligible))
            return (slope, [None] * len(variables)) if variables else slope

        return log_w, gradient

    return function(x)


def _compiled(function: Callable[..., Tensor], *signature: tf.TensorSpec) -> Any:
    return tf.function(function, input_signature=signature, autograph=False)
