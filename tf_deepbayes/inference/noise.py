"""Random numbers of classifiers: where they come from, and how to reproduce them.

A scheme says how the K draws of one estimate are related. Each draw by itself is standard normal
under every scheme, so E[w] = p(x, y) and logmeanexp_k log w estimates the same number:

    independent  ε_k ~ N(0, I) for every class and image, as published
    shared       one ε_k for all classes of an image
    antithetic   shared, ε_{2j+1} = −ε_{2j}; with an odd K the last draw has no partner
    qmc          shared, ε_k = Φ⁻¹(u_k + v mod 1): Sobol points u_k, one uniform v for each image
    mixture      every class's draws serve all classes (`proposals.Mixture`); the draws of a class
                 are independent, or antithetic (mixture+antithetic), or have a v of their own
                 (mixture+qmc)

Decisions compare classes, so what their draws share cancels in the difference of logits (common
random numbers); antithetic and quasi-random draws cover N(0, I) more evenly (Owen, *Monte Carlo
theory, methods and examples*, chapters 8 and 17; Cranley and Patterson 1976 for the shift).
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array, Tensor
from tf_deepbayes.core.errors import InputError

# (seeds [2], k, [C or 1, B, dim_z]) → draw k, a function of the seeds and k alone
Sample: TypeAlias = Callable[[Tensor, Tensor, Sequence], Tensor]

INDEPENDENT = "independent"
# Bits of a Sobol point: one for each doubling of K. Its sum with the 23 bits of a float32 uniform
# is exact.
SOBOL_BITS = 20
# Half a step of such a uniform moves 0 … 1 − 2⁻²³ to the middle of the cell, away from 0 and 1.
HALF_STEP = 2.0**-24


class Scheme(NamedTuple):
    """How the draws of one estimate are made, and whom they serve.

    Attributes:
        sample: the draw k from seeds.
        per_class: each class has noise of its own, instead of one for all.
        mixture: all draws serve every class, instead of its own.
    """

    sample: Sample
    per_class: bool = False
    mixture: bool = False


class NoiseSource(NamedTuple):
    """The source of the samples of z.

    Attributes:
        noise: (first, last) → samples first … last − 1, `[k, C or 1, B or 1, dim_z]`; the same in
            every call.
        is_z: whether they are z itself rather than standard normal noise.
    """

    noise: Callable[[Tensor, Tensor], Tensor]
    is_z: bool = False

    def starting_at(self, offset: Tensor) -> "NoiseSource":
        """The samples from `offset` on."""
        return self._replace(noise=lambda first, last: self.noise(first + offset, last + offset))

    def every(self, first: Tensor, last: Tensor, num_classes: int, batch: Tensor) -> Tensor:
        """The same samples for every class and image, `[k, C, B, dim_z]`."""
        noise = self.noise(first, last)
        return tf.broadcast_to(noise, [last - first, num_classes, batch, noise.shape[-1]])


def next_seeds(generator: tf.random.Generator, seed: int | Tensor | None, own: int) -> Tensor:
    """Seeds `[2]` of a call: the call's seed with the model's own; new ones when it has no seed.

    The seed may be a tensor: it is an input of an exported model.
    """
    if seed is None:
        return generator.make_seeds(1)[:, 0]
    return tf.stack([tf.convert_to_tensor(seed, tf.int64), tf.constant(own, tf.int64)])


def reseed(generator: tf.random.Generator, seed: int, number: int) -> None:
    """Set a generator to a state determined by the seed and the number.

    Work done in numbered pieces then draws the same noise whether or not it was interrupted.
    """
    state = np.random.SeedSequence((seed, number)).generate_state(1)[0]
    generator.reset_from_seed(int(state))


def check_scheme(scheme: str, num_samples: int, mode: str = "sample") -> None:
    """InputError unless the scheme can make K draws in this mode (`Sampling`)."""
    if scheme not in SCHEMES:
        raise InputError(f"noise must be one of {', '.join(SCHEMES)}, got {scheme!r}")
    if scheme != INDEPENDENT and mode in ("mean", "zero"):
        raise InputError(f"mode {mode} draws no noise, got noise {scheme!r}; leave one of them out")
    if SCHEMES[scheme].sample is _qmc and num_samples > 2**SOBOL_BITS:
        raise InputError(f"noise {scheme} has at most {2**SOBOL_BITS} samples, got {num_samples}")


def noise_source(
    scheme: str, seeds: Tensor, num_classes: int, batch: int | Tensor, dim_z: int
) -> NoiseSource:
    """The draws from seeds `[2]`: sample k is the same however the K samples are split."""
    draw, per_class, _ = SCHEMES[scheme]
    shape = [num_classes if per_class else 1, batch, dim_z]

    def sample(k: Tensor) -> Tensor:
        return draw(seeds, k, shape)

    spec = tf.TensorSpec([shape[0], batch if isinstance(batch, int) else None, dim_z])
    return NoiseSource(
        lambda first, last: tf.map_fn(sample, tf.range(first, last), fn_output_signature=spec)
    )


def fixed_noise(
    num_samples: int,
    dim_z: int,
    seed: int = 0,
    scheme: str = INDEPENDENT,
    num_classes: int = 1,
) -> Tensor:
    """One set of K draws for every image and class, `[K, 1, 1, dim_z]`.

    With a mixture each class has a set of its own, `[K, C, 1, dim_z]`. For independent draws
    ("independent", "shared") this is the published `fix_samples` noise, which has seed 0.
    """
    check_scheme(scheme, num_samples)
    sample, _, mixture = SCHEMES[scheme]
    sets = num_classes if mixture else 1
    if sample is _normal:
        draws = np.random.RandomState(seed * 100).randn(num_samples, sets, 1, dim_z)
        return tf.constant(draws, tf.float32)
    return tf.constant(_fixed_draws(scheme, num_samples, dim_z, seed, sets))


@functools.lru_cache(maxsize=4)
def _fixed_draws(scheme: str, num_samples: int, dim_z: int, seed: int, sets: int) -> Array:
    """The draws as numbers, which an exported graph holds on any platform."""
    with tf.init_scope():
        draw = noise_source(scheme, tf.constant([seed, 0], tf.int64), sets, 1, dim_z)
        noise = tf.function(draw.noise, autograph=False)
        return noise(tf.constant(0), tf.constant(num_samples)).numpy()


def _normal(seeds: Tensor, k: Tensor, shape: Sequence) -> Tensor:
    own = tf.random.experimental.stateless_fold_in(seeds, k)
    return tf.random.stateless_normal(shape, own)


def _antithetic(seeds: Tensor, k: Tensor, shape: Sequence) -> Tensor:
    sign = tf.cast(1 - 2 * (k % 2), tf.float32)
    return sign * _normal(seeds, k // 2, shape)


def _qmc(seeds: Tensor, k: Tensor, shape: Sequence) -> Tensor:
    shift = tf.random.stateless_uniform(shape, seeds)
    return tf.math.ndtri((sobol_point(k, shape[-1]) + shift) % 1.0 + HALF_STEP)


def sobol_point(k: Tensor, dim: int) -> Tensor:
    """Point k of the Sobol sequence, `[dim]` in [0, 1), as in `scipy.stats.qmc`, unscrambled.

    A point is linear in the bits of its index: the exclusive or of the points 2^j of its set bits.
    """
    generators = tf.constant(_sobol_generators(dim))
    bits = tf.bitwise.right_shift(k, tf.range(SOBOL_BITS)) % 2
    point = functools.reduce(tf.bitwise.bitwise_xor, tf.unstack(bits[:, None] * generators))
    return tf.cast(point, tf.float32) * 2.0**-SOBOL_BITS


@functools.cache
def _sobol_generators(dim: int) -> Array:
    """The points 2^j as multiples of 2⁻²⁰, int32 `[20, dim]`."""
    from scipy.stats import qmc  # the import takes most of a second

    engine = qmc.Sobol(dim, scramble=False, bits=SOBOL_BITS)
    rows = [engine.fast_forward(2**j - engine.num_generated).random(1) for j in range(SOBOL_BITS)]
    return np.round(np.concatenate(rows) * 2**SOBOL_BITS).astype(np.int32)


SCHEMES = {
    INDEPENDENT: Scheme(_normal, per_class=True),
    "shared": Scheme(_normal),
    "antithetic": Scheme(_antithetic),
    "qmc": Scheme(_qmc),
    "mixture": Scheme(_normal, per_class=True, mixture=True),
    "mixture+antithetic": Scheme(_antithetic, per_class=True, mixture=True),
    "mixture+qmc": Scheme(_qmc, per_class=True, mixture=True),
}
