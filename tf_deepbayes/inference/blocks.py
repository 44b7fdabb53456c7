"""Points (sample, class, image) of the importance weights, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.inference.encoding import Encoding
from tf_deepbayes.inference.noise import NoiseSource
from tf_deepbayes.inference.proposals import Density, Proposal

State = TypeVar("State")


class Block(NamedTuple):
    """One block of the terms in a pass over `TermBlocks`.

    Attributes:
        index: number of the block.
        terms: (k − first, c, b), `[M, 3]`.
        first: index of its first sample.
        noise: the noise of its samples, `[k, C, B, dim_z]`.
        source: the pass it belongs to.
        encoding: the encoding of the whole batch.
    """

    index: Tensor
    terms: Tensor
    first: Tensor
    noise: Tensor
    source: TermBlocks
    encoding: Encoding

    def log_weights(self) -> Tensor:
        """log w of the terms, `[M, W]`, W = 1 or C (`Proposal.width`)."""
        return self._log_weights(self._rows())

    def gradient(self, coefficients: Tensor) -> Encoding:
        """coefficient `[M, W]` · ∇ log w of each term with respect to its rows of the encoding."""
        rows = self._rows()
        with tf.GradientTape() as tape:
            tape.watch(rows)
            log_w = self._log_weights(rows)
        return tape.gradient(
            log_w, rows, output_gradients=coefficients, unconnected_gradients="zero"
        )

    def add_gradient(self, total: Encoding, coefficients: Tensor) -> Encoding:
        """The encoding's gradient with this block's added."""
        rows = self.gradient(coefficients)
        return self.source.proposal.add_rows(total, self.terms, rows)

    def take(self, rows: Tensor) -> Block:
        """The block restricted to these terms."""
        return self._replace(terms=tf.gather(self.terms, rows))

    def values(self, of_all: Tensor) -> Tensor:
        """The values of these terms, `[K, C, B, …]` → `[M, …]`."""
        return tf.gather_nd(of_all, tf.stack([self.first, 0, 0]) + self.terms)

    def _rows(self) -> Encoding:
        return self.source.proposal.rows(self.encoding, self.terms)

    def _log_weights(self, rows: Encoding) -> Tensor:
        source = self.source
        noise = tf.gather_nd(self.noise, self.terms)
        given = source.density, rows, self.terms, noise, source.noise.is_z
        return source.proposal.at_points(*given)


class TermBlocks(NamedTuple):
    """All samples' terms for some (class, image) pairs, one block at a time.

    The order is the same in every pass, so a second pass finds what the first one saved.

    Attributes:
        density: the log density to evaluate.
        noise: the source of the samples.
        num_samples: K.
        pairs: (c, b) `[P, 2]`.
        sizes: C and B.
        block_size: terms per block.
        proposal: whom the draws serve.
    """

    density: Density
    noise: NoiseSource
    num_samples: Tensor
    pairs: Tensor
    sizes: tuple[int, Tensor]
    block_size: Tensor
    proposal: Proposal

    def by_class(self, values: Tensor) -> Tensor:
        """A point's values with the classes last, `[K, C, B, W]` from those of log weights."""
        sizes = [self.num_samples, self.sizes[0], self.width, self.sizes[1]]
        return tf.transpose(tf.reshape(values, sizes), [0, 1, 3, 2])

    @property
    def width(self) -> int:
        """W, the log weights of a point."""
        return self.proposal.width(self.sizes[0])

    def fold(
        self, encoding: Encoding, visit: Callable[[Block, State], State], state: State
    ) -> State:
        """state = visit(block, state) for each block, sample by sample."""
        size, per_sample = self.block_size, tf.shape(self.pairs)[0]
        # As many samples at a time as fit in a block: the noise in memory does not grow with K.
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
    """A loop that runs its steps one after another, in the memory of one step."""
    return tf.while_loop(going, body, state, parallel_iterations=1)
