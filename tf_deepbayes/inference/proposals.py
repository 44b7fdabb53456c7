"""Where the draws of a class's estimate come from: its own q(z|x,y_c), or those of all classes.

A *point* is a draw z of q(z|x_b, y_c), numbered (k, c, b). Under `OwnClass` it has one log weight,
that of its class; under `Mixture` one for each class.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor, Terms, log_mean_exp
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.inference.encoding import Encoding
from tf_deepbayes.inference.latent_model import LatentModel
from tf_deepbayes.inference.noise import SCHEMES

# Log weight of what was not evaluated; finite, so that gradients stay finite.
NOT_EVALUATED = -1e30
Q = "q(z|x,y)"


class Density(NamedTuple):
    """Which log density is computed, and of which model.

    Attributes:
        factor: only this factor's log density; None: log p(x, z, y) − log q(z|x, y).
        beta: the published beta; 1 is Bayes' rule.
    """

    model: LatentModel
    factor: str | None = None
    beta: Tensor | float = 1.0

    @property
    def num_classes(self) -> int:
        """C."""
        return self.model.architecture.num_classes

    def terms(self, rows: Encoding, y: Tensor, z: Tensor) -> Terms:
        """The log densities by factor, at z and one-hot y."""
        terms_fn = self.model.terms_fn or self.model.terms
        return terms_fn(rows.observed, y, rows.loc, rows.scale, z)

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


class OwnClass(NamedTuple):
    """Each class from its own draws: log p(x, z_k^c, y_c) − log q(z_k^c|x, y_c)."""

    def width(self, num_classes: int) -> int:
        """Log weights of a point."""
        return 1

    def rows(self, encoding: Encoding, points: Tensor) -> Encoding:
        """What the log weights of points `[M, 3]` need of the encoding."""
        return encoding.gather(points[:, 1:])

    def add_rows(self, total: Encoding, points: Tensor, rows: Encoding) -> Encoding:
        """The encoding with a gradient with respect to `rows` added."""
        return total.scatter_add(points[:, 1:], rows)

    def at_points(
        self, density: Density, rows: Encoding, points: Tensor, noise: Tensor, is_z: bool
    ) -> Tensor:
        """log w of points `[M, 3]` with noise `[M, dim_z]`, or z itself if `is_z`, `[M, 1]`."""
        y = tf.one_hot(points[:, 1], density.num_classes)[None]
        return tf.reshape(_own(density, rows, y, noise[None, None], is_z), [-1, 1])

    def at_once(self, density: Density, rows: Encoding, noise: Tensor, is_z: bool) -> Tensor:
        """log w of a batch with noise `[K, C, B, dim_z]`, or broadcastable, `[K, C, B]`."""
        return _own(density, rows, tf.eye(density.num_classes)[:, None, :], noise, is_z)

    def snapshots(self, log_w: Tensor) -> Tensor:
        """Logits of each sample alone, `[K, C, B]`: the log weights."""
        return log_w


class Mixture(NamedTuple):
    """All K·C draws for every class: multiple importance sampling with the balance heuristic.

        log p(x, z_j, y_c) − log q_mix(z_j|x),   q_mix(z|x) = 1/C Σ_c q(z|x, y_c)

    (Veach and Guibas 1995; Owen, Monte Carlo theory, methods and examples, chapter 9). The costly
    factors do not have y in them and are evaluated once a point; the weights are at most C times
    those of `OwnClass`.

    Attributes:
        among: `[C, B]` bool: the classes whose draws are mixed; None: all. The others have no draws
            and no estimate. An estimate is the sum over the points divided by K·C all the same, so
            log w is larger by log(C/number of those mixed).
    """

    among: Tensor | None = None

    def width(self, num_classes: int) -> int:
        """See `OwnClass.width`."""
        return num_classes

    def rows(self, encoding: Encoding, points: Tensor) -> Encoding:
        """See `OwnClass.rows`."""
        return encoding.gather_images(points[:, 2])

    def add_rows(self, total: Encoding, points: Tensor, rows: Encoding) -> Encoding:
        """See `OwnClass.add_rows`."""
        return total.scatter_add_images(points[:, 2], rows)

    def at_points(
        self, density: Density, rows: Encoding, points: Tensor, noise: Tensor, is_z: bool
    ) -> Tensor:
        """See `OwnClass.at_points`: `[M, C]`."""
        own = tf.stack([points[:, 1], tf.range(tf.shape(points)[0])], 1)
        loc, scale = tf.gather_nd(rows.loc, own), tf.gather_nd(rows.scale, own)
        z = noise if is_z else loc + scale * noise
        among = None if self.among is None else tf.gather(self.among, points[:, 2], axis=1)
        return tf.transpose(_mixed(density, rows, z[None, None], among)[0])

    def at_once(self, density: Density, rows: Encoding, noise: Tensor, is_z: bool) -> Tensor:
        """See `OwnClass.at_once`: `[K·C, C, B]`, the points of sample 0 first."""
        z = noise if is_z else rows.loc + rows.scale * noise
        z = tf.reshape(z, [-1, 1, tf.shape(rows.loc)[1], rows.loc.shape[-1]])
        return _mixed(density, rows, z, None)

    def snapshots(self, log_w: Tensor) -> Tensor:
        """See `OwnClass.snapshots`: the log-mean-exp of the k-th draw of every class."""
        rows, num_classes, batch = log_w.shape[0], log_w.shape[1], tf.shape(log_w)[2]
        rows = tf.shape(log_w)[0] if rows is None else rows
        sizes = [rows // num_classes, num_classes, num_classes, batch]
        return log_mean_exp(tf.reshape(log_w, sizes), 1)


Proposal: TypeAlias = OwnClass | Mixture


def proposal_of(scheme: str, among: Tensor | None = None) -> Proposal:
    """Whom the draws of a scheme serve."""
    return Mixture(among) if SCHEMES[scheme].mixture else OwnClass()


def _own(density: Density, rows: Encoding, y: Tensor, noise: Tensor, is_z: bool) -> Tensor:
    z = noise if is_z else rows.loc + rows.scale * noise
    return density.log_weight(density.terms(rows, y, z))


def _mixed(density: Density, rows: Encoding, z: Tensor, among: Tensor | None) -> Tensor:
    """log w of points z `[J, 1, B, dim_z]` for every class, `[J, C, B]`."""
    num_classes = density.num_classes
    terms = density.terms(rows, tf.eye(num_classes)[:, None, :], z)
    log_q = -terms[Q]
    if among is not None:
        log_q = tf.where(among, log_q, NOT_EVALUATED)
    log_q_mix = tf.reduce_logsumexp(log_q, 1, keepdims=True) - math.log(num_classes)
    log_w = density.log_weight({**terms, Q: -log_q_mix})
    log_w = tf.broadcast_to(log_w, tf.shape(log_q))
    return log_w if among is None else tf.where(among, log_w, NOT_EVALUATED)
