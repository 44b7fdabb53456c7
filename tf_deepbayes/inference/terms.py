"""Log weights of single (sample, class, image) terms, for when only some of them are wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor, Terms
from tf_deepbayes.inference.latent_model import LatentModel, Observed
from tf_deepbayes.inference.noise import NoiseSource

Weigh: TypeAlias = Callable[[Terms], Tensor]  # {factor: log density} → log w


class Encoding(NamedTuple):
    """What the terms of a batch depend on and x alone determines.

    Attributes:
        loc: mean of q(z|x,y), `[C, B, dim_z]`.
        scale: its standard deviation, `[C, B, dim_z]`.
        observed: pixels and the factors' features of x, `[B, …]`.
    """

    loc: Tensor
    scale: Tensor
    observed: Observed

    @classmethod
    def of(cls, model: LatentModel, x: Tensor) -> Encoding:
        """The leaves of a batch `[B, …]`, for all classes."""
        observed = model.observe(x)
        y = tf.eye(model.architecture.num_classes)[:, None, :]
        q = model.q_z_xy(observed, y).distribution
        features = {n: f for n, f in observed.features.items() if n != model.q_z_xy.name}
        return cls(q.loc, q.scale, Observed(observed.pixels, features))

    def rows(self, pairs: Tensor) -> Encoding:
        """Those of M (class, image) `pairs` `[M, 2]`, each as an image: `[1, M, …]`, `[M, …]`."""
        take = lambda value: tf.gather(value, pairs[:, 1])  # noqa: E731
        return Encoding(
            tf.gather_nd(self.loc, pairs)[None],
            tf.gather_nd(self.scale, pairs)[None],
            tf.nest.map_structure(take, self.observed),
        )

    def plus(self, pairs: Tensor, rows: Encoding) -> Encoding:
        """These with `rows` added at their (class, image) pairs."""
        images = pairs[:, 1:]
        add = lambda total, part: tf.tensor_scatter_nd_add(total, images, part)  # noqa: E731
        return Encoding(
            tf.tensor_scatter_nd_add(self.loc, pairs, rows.loc[0]),
            tf.tensor_scatter_nd_add(self.scale, pairs, rows.scale[0]),
            tf.nest.map_structure(add, self.observed, rows.observed),
        )


class SingleTerms(NamedTuple):
    """The terms of some samples of a batch, one by one.

    Attributes:
        noise: `[k, C, B, dim_z]` of the samples.
        is_z: whether that is z itself.
    """

    model: LatentModel
    log_weight: Weigh
    leaves: Encoding
    noise: Tensor
    is_z: bool

    def log_weights(self, terms: Tensor) -> Tensor:
        """log w of terms (k, c, b) `[M, 3]` → `[M]`."""
        return self._log_weights(terms, self.leaves.rows(terms[:, 1:]))

    def gradient(self, terms: Tensor, coefficients: Tensor) -> Encoding:
        """coefficient `[M]` · ∇ log w of each term, with respect to its rows of the leaves."""
        rows = self.leaves.rows(terms[:, 1:])
        with tf.GradientTape() as tape:
            tape.watch(rows)
            log_w = self._log_weights(terms, rows)
        return tape.gradient(
            log_w, rows, output_gradients=coefficients, unconnected_gradients="zero"
        )

    def _log_weights(self, terms: Tensor, rows: Encoding) -> Tensor:
        noise = tf.gather_nd(self.noise, terms)[None, None]
        y = tf.one_hot(terms[:, 1], self.model.architecture.num_classes)[None]
        z = noise if self.is_z else rows.loc + rows.scale * noise
        parts = self.model.terms(rows.observed, y, rows.loc, rows.scale, z)
        return tf.reshape(self.log_weight(parts), [-1])


class Block(NamedTuple):
    """Some terms of a `TermBlocks`.

    Attributes:
        index: number of the block.
        first: number of the first of its samples.
        terms: (k − first, c, b), `[M, 3]`.
        of: what they are terms of.
    """

    index: Tensor
    first: Tensor
    terms: Tensor
    of: SingleTerms

    def values(self, of_all: Tensor) -> Tensor:
        """Those of the terms, `[K, C, B]` → `[M]`."""
        return tf.gather_nd(of_all, tf.stack([self.first, 0, 0]) + self.terms)


State = TypeVar("State")


class TermBlocks(NamedTuple):
    """The terms of some pairs of class and image and all samples, a block at a time.

    The walk is the same every time, which lets a second one find what the first one kept.

    Attributes:
        draw: the samples.
        num_samples: K.
        pairs: (c, b) `[P, 2]`.
        sizes: C and B.
        block: terms at a time.
    """

    model: LatentModel
    log_weight: Weigh
    draw: NoiseSource
    num_samples: Tensor
    pairs: Tensor
    sizes: tuple[int, Tensor]
    block: Tensor

    def over(self, leaves: Encoding, visit: Callable[[Block, State], State], state: State) -> State:
        """state = visit(block, state) for each block, sample by sample."""
        per_sample = tf.shape(self.pairs)[0]
        # As many samples at a time as fit in a block, so that the noise held does not grow with K.
        step = tf.clip_by_value(self.block // tf.maximum(per_sample, 1), 1, self.num_samples)

        def samples(first: Tensor, index: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
            last = tf.minimum(first + step, self.num_samples)
            noise = self.draw.every(first, last, *self.sizes)
            single = SingleTerms(self.model, self.log_weight, leaves, noise, self.draw.is_z)
            total = (last - first) * per_sample

            def piece(start: Tensor, index: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
                number = tf.range(start, tf.minimum(start + self.block, total))
                pairs = tf.gather(self.pairs, number % per_sample)
                terms = tf.concat([(number // per_sample)[:, None], pairs], 1)
                state = visit(Block(index, first, terms, single), state)
                return start + self.block, index + 1, state

            _, index, state = _while(lambda start, *_: start < total, piece, (0, index, state))
            return last, index, state

        return _while(lambda first, *_: first < self.num_samples, samples, (0, 0, state))[2]


def _while(going: Callable[..., Tensor], body: Callable[..., Any], state: Any) -> Any:
    """A loop whose steps run one after another, in the memory of one."""
    return tf.while_loop(going, body, state, parallel_iterations=1)
