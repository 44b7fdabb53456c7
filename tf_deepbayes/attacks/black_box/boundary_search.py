"""The search behind the attack `HopSkipJump` (Chen, Jordan & Wainwright 2020).

Among decision-based attacks it is the one that queries the classifier in large batches, and it
needs fewer queries than the walk of Brendel et al. (2018). The versions in foolbox and ART run step
by step from Python with numpy's random numbers, and foolbox's stops when a second query of a
starting point disagrees with the first, as often happens when a classifier samples.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks.ball import (
    later_seeds,
    normal,
    project,
    size_of,
    symmetric_uniform,
    uniform,
)
from tf_deepbayes.attacks.black_box.monte_carlo import repeated, sum_over_samples
from tf_deepbayes.core.axes import PIXEL_MAX, PIXEL_MIN, Tensor

# Black and white images in grids of so many cells per side (None: one per pixel), with a random
# share of white. Most classifiers assign uniform noise, as published, to one or two classes.
GRIDS = (2, 4, 8, None)
STARTS_PER_GRID = 25
HALVINGS = 12  # of a step that leaves the accepted region; then the image stays where it is
# Sizes between the closest image and the ball's surface, and draws of the classifier for each.
SIZES, DRAWS_PER_SIZE = 5, 20
MORE_THAN_SAMPLES = 1_000_000  # above the samples of one iteration, to number their draws


@dataclasses.dataclass(frozen=True)
class BoundarySearch:
    """The attack on one batch. Its methods are parts of one graph.

    Attributes:
        sought: images, labels → whether one draw of the classifier predicts what the attack wants,
            `[B, 1, 1, 1]`. Such images are called accepted.
        norm: norm of the distance to minimise.
        at_once: samples per image in one call of the classifier.
        x, y, seeds: images, labels and `image_seeds` of B images.
        votes: draws per decision; the majority counts.
        starting_points: images `[M, H, W, channels]` to start from, besides random ones.
    """

    sought: Callable[[Tensor, Tensor], Tensor]
    norm: float
    at_once: int
    x: Tensor
    y: Tensor
    seeds: Tensor
    votes: Tensor
    starting_points: Tensor

    def walk(self, start: Tensor, nb_iter: Tensor, initial_samples: Tensor) -> Tensor:
        """The image after `nb_iter` iterations."""

        def iterate(t: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
            root = tf.sqrt(tf.cast(t, tf.float32))
            count = tf.cast(tf.math.ceil(initial_samples * root), tf.int32)
            direction = self.normal(image, t * MORE_THAN_SAMPLES, count)
            stepped = self.step(image, direction, self.distance(image) / root)
            return t + 1, self.bisect(stepped)

        first = (1, self.bisect(start))
        return tf.while_loop(lambda t, _: t <= nb_iter, iterate, first, parallel_iterations=1)[1]

    def rate(self, image: Tensor, draws: Tensor) -> Tensor:
        """Share of the draws that accept the image, `[B, 1, 1, 1]`."""
        _, total = tf.while_loop(
            lambda i, _: i < draws,
            lambda i, total: (i + 1, total + tf.cast(self.sought(image, self.y), tf.float32)),
            (0, tf.zeros([self.x.shape[0], 1, 1, 1])),
            parallel_iterations=1,
        )
        return total / tf.cast(draws, tf.float32)

    def accepts(self, image: Tensor) -> Tensor:
        """The majority vote, `[B, 1, 1, 1]` bool."""
        return self.rate(image, self.votes) > 0.5

    def distance(self, image: Tensor) -> Tensor:
        return size_of(image - self.x, self.norm)

    def start(self) -> tuple[Tensor, Tensor]:
        """The nearest accepted starting point, or x if accepted, and its distance.

        x and an infinite distance if there is none.
        """
        state = (self.x, tf.where(self.accepts(self.x), 0.0, np.float32(np.inf)))
        for number, cells in enumerate(GRIDS):
            drawn = functools.partial(self.random_image, cells, 1 + number * STARTS_PER_GRID)
            state = self.nearest(drawn, STARTS_PER_GRID, *state)
        given = tf.shape(self.starting_points)[0]
        return self.nearest(lambda i: self.starting_points[i], given, *state)

    def nearest(
        self, point: Callable[[Tensor], Tensor], count: Tensor, best: Tensor, distance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The nearest accepted point: the best so far, or one of the points 0 … count − 1."""

        def look(i: Tensor, best: Tensor, distance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            image = tf.broadcast_to(point(i), self.x.shape)
            found = self.distance(image)
            closer = self.accepts(image) & (found < distance)
            return i + 1, tf.where(closer, image, best), tf.where(closer, found, distance)

        first = (0, best, distance)
        return tf.while_loop(lambda i, *_: i < count, look, first, parallel_iterations=1)[1:]

    def random_image(self, cells: int | None, first: int, i: Tensor) -> Tensor:
        """Random image number first + i for each image."""
        height, width, channels = self.x.shape[1:]
        rows, columns = (height, width) if cells is None else (cells, cells)
        seeds = later_seeds(self.seeds, -first - i)  # the walk uses positive numbers
        white = uniform(seeds, [rows, columns, channels]) < uniform(seeds + 1, [1, 1, 1])
        return tf.image.resize(tf.cast(white, tf.float32), [height, width], "nearest")

    def bisect(self, outside: Tensor) -> Tensor:
        """An accepted image close to the boundary, between x and the given accepted one.

        The interval shrinks to 1/d^1.5 (l2) or 1/d² (l∞) of the distance, as published.
        """
        exponent = 2.0 if self.norm == np.inf else 1.5
        steps = math.ceil(exponent * math.log2(outside.shape[1:].num_elements()))
        reach = self.distance(outside)

        def between(share: Tensor) -> Tensor:
            if self.norm == np.inf:
                return project(self.x, outside, share * reach, self.norm)
            return self.x + share * (outside - self.x)

        def halve(i: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            middle = (low + high) / 2.0
            accepted = self.accepts(between(middle))
            return i + 1, tf.where(accepted, low, middle), tf.where(accepted, middle, high)

        shares = (tf.zeros_like(reach), tf.ones_like(reach))
        _, _, high = tf.while_loop(
            lambda i, *_: i < steps, halve, (0, *shares), parallel_iterations=1
        )
        return between(high)

    def normal(self, image: Tensor, first: Tensor, count: Tensor) -> Tensor:
        """Direction into the accepted region: Σ (φ − mean φ) u over points image + δ u, φ = ±1."""
        delta = self.distance(image) / self.x.shape[1:].num_elements()
        centre, labels = repeated(image, self.at_once), repeated(self.y, self.at_once)
        radius = repeated(delta, self.at_once)
        directions = symmetric_uniform if self.norm == np.inf else normal

        def terms(seeds: Tensor) -> Tensor:
            draw = directions(seeds, image.shape[1:])
            point = centre + radius * draw / size_of(draw, 2)
            point = tf.clip_by_value(point, PIXEL_MIN, PIXEL_MAX)
            u = tf.math.divide_no_nan(point - centre, radius)
            phi = tf.where(self.sought(point, labels), 1.0, -1.0)
            return tf.stack([phi * u, u, phi * tf.ones_like(u)], axis=1)

        zero = tf.zeros([image.shape[0], 3, *image.shape[1:]])
        sums = sum_over_samples(terms, zero, self.seeds, first, count, self.at_once)
        weighted, plain, phi = tf.unstack(sums, axis=1)
        mean = phi / tf.cast(count, tf.float32)
        # Where all decisions agree, the mean direction leads forward or back.
        direction = tf.where(tf.abs(mean) < 1.0, weighted - mean * plain, weighted)
        if self.norm == np.inf:
            return tf.sign(direction)
        return tf.math.divide_no_nan(direction, size_of(direction, 2))

    def step(self, image: Tensor, direction: Tensor, length: Tensor) -> Tensor:
        """image + length · direction, the length halved until the result is accepted."""

        def moved(length: Tensor) -> Tensor:
            return tf.clip_by_value(image + length * direction, PIXEL_MIN, PIXEL_MAX)

        def shorten(i: Tensor, result: Tensor, length: Tensor, done: Tensor) -> tuple:
            tried = moved(length)
            accepted = self.accepts(tried) & ~done
            return i + 1, tf.where(accepted, tried, result), length / 2.0, done | accepted

        done = tf.zeros_like(length, tf.bool)
        _, result, _, _ = tf.while_loop(
            lambda i, _result, _length, done: (i < HALVINGS) & ~tf.reduce_all(done),
            shorten,
            (0, image, length, done),
            parallel_iterations=1,
        )
        return result

    def most_often_sought(self, image: Tensor, eps: Tensor) -> Tensor:
        """The image with the highest rate between the one given and the surface of the ball.

        All lie in the direction of the image, which is projected if it is outside the ball.
        """
        distance = self.distance(image)
        nearest = tf.minimum(distance, eps)

        def look(number: Tensor, best: Tensor, best_rate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            size = nearest + (eps - nearest) * tf.cast(number, tf.float32) / (SIZES - 1)
            stretch = tf.maximum(tf.math.divide_no_nan(size, distance), 1.0)
            candidate = project(self.x, self.x + stretch * (image - self.x), size, self.norm)
            rate = self.rate(candidate, tf.constant(DRAWS_PER_SIZE))
            better = rate > best_rate
            return number + 1, tf.where(better, candidate, best), tf.maximum(rate, best_rate)

        first = (0, self.x, -tf.ones_like(nearest))
        return tf.while_loop(lambda i, *_: i < SIZES, look, first, parallel_iterations=1)[1]
