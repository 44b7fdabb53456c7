"""The proposals of Square attack: patches of one sign (l∞), patches that move norm (l2).

Everything is computed on whole images, `[B, H, W, channels]`, with masks, so one graph places the
patch of every image differently. Andriushchenko et al. (2020), algorithms 2 and 3.
"""

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks.ball import signs, size_of, uniform
from tf_deepbayes.core.axes import PIXEL_MAX, PIXEL_MIN, Tensor

# Far below the step between two byte values, above float32 rounding of a pixel.
SAME_PIXEL = 1e-6
TINY = 1e-10  # keeps the direction of a zero perturbation finite
TILES = 5  # the first l2 perturbation has 5 × 5 of them


def stripes(seeds: Tensor, x: Tensor, eps: Tensor) -> Tensor:
    """The first l∞ image: x ± eps, one sign for each column and channel."""
    return x + eps * signs(seeds, [1, *x.shape[2:]])


def recoloured_patch(seeds: Tensor, x: Tensor, best: Tensor, share: Tensor, eps: Tensor) -> Tensor:
    """`best` with x ± eps in a square, one sign for each channel.

    Signs that change no pixel would waste the query, so the opposite signs are used then.
    """
    height, width, channels = x.shape[1:]
    side = tf.round(tf.sqrt(share * height * width))
    side = tf.clip_by_value(side, 1.0, max(1, min(height, width) - 1))
    inside = tf.reduce_all(_within(_corner(seeds, side, x), side), axis=0)
    sign = signs(seeds + 1, [1, 1, channels])

    def coloured(sign: Tensor) -> Tensor:
        return tf.where(inside, tf.clip_by_value(x + eps * sign, PIXEL_MIN, PIXEL_MAX), best)

    change = tf.abs(coloured(sign) - best)
    same = tf.reduce_max(change, axis=[1, 2, 3], keepdims=True) < SAME_PIXEL
    return coloured(tf.where(same, -sign, sign))


def tiles(seeds: Tensor, x: Tensor, eps: Tensor) -> Tensor:
    """The first l2 image: x plus a perturbation of norm eps, 5 × 5 pairs of bumps."""
    height, width, channels = x.shape[1:]
    side = max(1, min(height, width) // TILES)
    rows, columns = (np.arange(n) - (n - TILES * side) // 2 for n in (height, width))
    row, column = np.meshgrid(rows // side, columns // side, indexing="ij")
    covered = (row >= 0) & (row < TILES) & (column >= 0) & (column < TILES)
    tile = np.where(covered, row * TILES + column, 0).reshape(-1)
    of_tile = tf.gather(signs(seeds, [TILES**2, channels]), tile, axis=1)
    of_tile = tf.reshape(of_tile, [-1, height, width, channels])
    place = np.stack(np.meshgrid(rows % side, columns % side, indexing="ij"))[:, None, :, :, None]
    pattern = bumps(tf.constant(place, tf.float32), tf.constant(side, tf.float32))
    perturbation = tf.where(covered[None, :, :, None], pattern * of_tile, 0.0)
    return x + eps * perturbation / size_of(perturbation, 2)


def moved_mass(seeds: Tensor, x: Tensor, best: Tensor, share: Tensor, eps: Tensor) -> Tensor:
    """`best` with bumps added in one window; their norm comes from a second one, now cleared."""
    delta = best - x
    side = _odd_side(share, x)
    place = _corner(seeds, side, x)
    inside = tf.reduce_all(_within(place, side), axis=0)
    emptied = tf.reduce_all(_within(_corner(seeds + 1, side, x), side), axis=0)
    turned = uniform(seeds + 2, [1, 1, 1]) < 0.5
    bump = bumps(tf.where(turned, place[::-1], place), side) * signs(seeds + 3, [1, 1, x.shape[-1]])
    old = tf.where(inside, delta, 0.0)
    bump = tf.where(inside, bump, 0.0) + old / (size_of(old, 2) + TINY)
    unused = tf.maximum(eps**2 - tf.square(size_of(delta, 2)), 0.0) / x.shape[-1]
    freed = _square_sum(tf.where(inside | emptied, delta, 0.0))
    bump *= tf.math.divide_no_nan(tf.sqrt(freed + unused), tf.sqrt(_square_sum(bump)))
    delta = tf.where(inside, bump, tf.where(emptied, 0.0, delta))
    return x + eps * tf.math.divide_no_nan(delta, size_of(delta, 2))


def bumps(place: Tensor, side: Tensor) -> Tensor:
    """A positive bump above a negative one, in a window of that side length.

    η = Σ_{j = d}^{⌊side / 2⌋} 1 / (j + 1)², where d is the Chebyshev distance from the middle of
    the window's upper (lower, −η) half.

    Args:
        place: row and column in the window, `[2, B, H, W, 1]`; outside it η has no meaning.
    """
    half = tf.floor(side / 2.0)
    row, column = tf.unstack(place)
    upper = row < half
    middle = tf.where(upper, tf.floor(half / 2.0), half + tf.floor((side - half) / 2.0))
    distance = tf.maximum(tf.abs(row - middle), tf.abs(column - half))
    sums = tf.cumsum(1.0 / tf.square(tf.range(1.0, max(place.shape) + 2.0)), exclusive=True)
    last = half + 1.0
    height = tf.gather(sums, tf.cast(last, tf.int32)) - tf.gather(
        sums, tf.cast(tf.minimum(distance, last), tf.int32)
    )
    return tf.where(upper, height, -height)


def _odd_side(share: Tensor, x: Tensor) -> Tensor:
    """Side of a square with that share of the pixels: odd and, if the image has room, ≥ 3."""
    height, width = x.shape[1:3]
    shorter = min(height, width)
    side = tf.maximum(tf.round(tf.sqrt(share * height * width)), 3.0)
    side += 1.0 - tf.math.floormod(side, 2.0)
    return tf.minimum(side, float(shorter - 1 + shorter % 2))


def _corner(seeds: Tensor, side: Tensor, x: Tensor) -> Tensor:
    """Each pixel's row and column in a window placed at random, `[2, B, H, W, 1]`."""
    height, width = x.shape[1:3]
    numbers = uniform(seeds, [2])
    top = tf.floor(numbers[:, 0] * (height - side + 1.0))[:, None, None, None]
    left = tf.floor(numbers[:, 1] * (width - side + 1.0))[:, None, None, None]
    rows = tf.range(height, dtype=tf.float32)[None, :, None, None] - top
    columns = tf.range(width, dtype=tf.float32)[None, None, :, None] - left
    shape = [x.shape[0], height, width, 1]
    return tf.stack([tf.broadcast_to(rows, shape), tf.broadcast_to(columns, shape)])


def _within(place: Tensor, side: Tensor) -> Tensor:
    return (place >= 0.0) & (place < side)


def _square_sum(values: Tensor) -> Tensor:
    """Over rows and columns, per channel."""
    return tf.reduce_sum(tf.square(values), axis=[1, 2], keepdims=True)
