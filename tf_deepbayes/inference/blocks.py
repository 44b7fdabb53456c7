"""Terms (sample, class, image) of the importance weights, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor, Terms
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.inference.encoding import Encoding
from tf_deepbayes.inference.latent_model import LatentModel
from tf_deepbayes.inference.noise import NoiseSource

State = TypeVar("State")


class Density(NamedTuple):
    """Which log density is computed, and of which model.

    Attributes:
        factor: this factor's alone; None: log p(x, z, y) − log q(z|x, y).
        beta: the published beta; 1 is Bayes' rule.
    """

    model: LatentModel
    factor: str | None = None
    beta: Tensor | float = 1.0

    def log_weight(self, terms: Terms) -> Tensor:
        """The sum of the terms, or the one factor; InputError when the model has no such factor."""
        if self.factor is None:
            return self.model.log_weight(terms, self.beta)
        if self.factor not in terms:
            model, own = type(self.model).__name__, [n for n in terms if not n.startswith("q")]
            raise InputError(
                f"{model} has no factor {self.factor!r}; choose one of {', '.join(own)}"
            )
        return terms[self.factor]


def block_log_weights(
    density: Density, rows: Encoding, y: Tensor, noise: Tensor, is_z: bool = False
) -> Tensor:
    """log w of one block, all of it at once; every forward pass is made of this.

    Args:
        rows: encoding `[C, B, …]`.
        y: one-hot, `[C, B, C]` or broadcastable.
        noise: standard normal `[K, C, B, dim_z]` or broadcastable, or z itself if `is_z`.

    Returns:
        `[K, C, B]`, nats.
    """
    z = noise if is_z else rows.loc + rows.scale * noise
    terms_fn = density.model.terms_fn or density.model.terms
    return density.log_weight(terms_fn(rows.observed, y, rows.loc, rows.scale, z))


class Block(NamedTuple):
    """Some terms of a pass over `TermBlocks`.

    Attributes:
        index: number of the block.
        terms: (k − first, c, b), `[M, 3]`.
        first: number of the first of its samples.
        noise: of its samples, `[k, C, B, dim_z]`.
        source: the pass it belongs to.
        encoding: of the whole batch.
    """

    index: Tensor
    terms: Tensor
    first: Tensor
    noise: Tensor
    source: TermBlocks
    encoding: Encoding

    def log_weights(self) -> Tensor:
        """log w of the terms, `[M]`."""
        return self._log_weights(self.encoding.gather(self.terms[:, 1:]))

    def gradient(self, coefficients: Tensor) -> Encoding:
        """coefficient `[M]` · ∇ log w of each term, with respect to its rows of the encoding."""
        rows = self.encoding.gather(self.terms[:, 1:])
        with tf.GradientTape() as tape:
            tape.watch(rows)
            log_w = self._log_weights(rows)
        return tape.gradient(
            log_w, rows, output_gradients=coefficients, unconnected_gradients="zero"
        )

    def take(self, rows: Tensor) -> Block:
        """The block with these of its terms only."""
        return self._replace(terms=tf.gather(self.terms, rows))

    def values(self, of_all: Tensor) -> Tensor:
        """The values of the terms, `[K, C, B]` → `[M]`."""
        return tf.gather_nd(of_all, tf.stack([self.first, 0, 0]) + self.terms)

    def _log_weights(self, rows: Encoding) -> Tensor:
        density = self.source.density
        noise = tf.gather_nd(self.noise, self.terms)[None, None]
        y = tf.one_hot(self.terms[:, 1], density.model.architecture.num_classes)[None]
        log_w = block_log_weights(density, rows, y, noise, self.source.noise.is_z)
        return tf.reshape(log_w, [-1])


class TermBlocks(NamedTuple):
    """The terms of some pairs of class and image and all samples, a block at a time.

    The order is the same in every pass, so that a second pass finds what the first one saved.

    Attributes:
        density: what is evaluated.
        noise: where the samples come from.
        num_samples: K.
        pairs: (c, b) `[P, 2]`.
        sizes: C and B.
        block_size: terms at a time.
    """

    density: Density
    noise: NoiseSource
    num_samples: Tensor
    pairs: Tensor
    sizes: tuple[int, Tensor]
    block_size: Tensor

    def fold(
        self, encoding: Encoding, visit: Callable[[Block, State], State], state: State
    ) -> State:
        """state = visit(block, state) for each block, sample by sample."""
        size, per_sample = self.block_size, tf.shape(self.pairs)[0]
        # As many samples at a time as fit in a block, so that the noise held does not grow with K.
        step = tf.clip_by_value(size // tf.maximum(per_sample, 1), 1, self.num_samples)

        def samples(first: Tensor, index: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
            last = tf.minimum(first + step, self.num_samples)
            noise = self.noise.every(first, last, *self.sizes)
            total = (last - first) * per_sample

            def piece(start: Tensor, index: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
                number = tf.range(start, tf.minimum(start + size, total))
                pairs = tf.gather(self.pairs, number % per_sample)
                terms = tf.concat([(number // per_sample)[:, None], pairs], 1)
                state = visit(Block(index, terms, first, noise, self, encoding), state)
                return start + size, index + 1, state

            _, index, state = _while(lambda start, *_: start < total, piece, (0, index, state))
            return last, index, state

        return _while(lambda first, *_: first < self.num_samples, samples, (0, 0, state))[2]


def _while(going: Callable[..., Tensor], body: Callable[..., Any], state: Any) -> Any:
    """A loop whose steps run one after another, in the memory of one."""
    return tf.while_loop(going, body, state, parallel_iterations=1)
