"""The published formulation, written plainly: what the library's speed is measured against.

One class after another, images tiled over the K samples, features of x computed again for each
class and sample, log densities spelled out. It takes the library's weights, so that both must give
the same numbers before they are timed.
"""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor, log_mean_exp
from tf_deepbayes.models.classifier import LatentClassifier

LOG_2PI, LOG_PI = math.log(2 * math.pi), math.log(math.pi)


class Reference:
    """log p(x, z, y) − log q(z|x,y) of an image model with likelihood l2."""

    def __init__(self, model: LatentClassifier) -> None:
        self.model, self.architecture = model, model.architecture
        self.weights = {c.name: list(c.weights) for c in model.conditionals()}
        self.kind = type(model).__name__

    def logits(self, x: Tensor, noise: Tensor) -> Tensor:
        """`[B, C]` from noise `[K, C, B, dim_z]`."""
        per_class = [self._class_bound(x, c, noise[:, c]) for c in range(noise.shape[1])]
        return tf.stack([log_mean_exp(bound, 0) for bound in per_class], axis=1)

    def _class_bound(self, x: Tensor, c: int, noise: Tensor) -> Tensor:
        y = tf.one_hot(tf.fill([tf.shape(x)[0]], c), self.architecture.num_classes)
        return self.bound(x, y, noise)

    def bound(self, x: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        """`[K, B]` from one-hot y `[B, C]` and noise `[K, B, dim_z]`."""
        samples, batch = noise.shape[0], tf.shape(x)[0]
        x = tf.tile(x, [samples, 1, 1, 1])
        y = tf.tile(y, [samples, 1])
        mean, log_scale = self._gaussian("q_z_xy", self._features("q_z_xy", x), y)
        z = mean + tf.exp(log_scale) * tf.reshape(noise, [-1, self.architecture.dim_z])
        log_w = FORMULAS[self.kind](self, x, y, z) - log_normal(z, mean, log_scale)
        return tf.reshape(log_w, [samples, batch])

    def _features(self, name: str, x: Tensor) -> Tensor:
        *kernels, dense, bias = self.weights[name][-8:]
        for kernel, b in zip(kernels[::2], kernels[1::2], strict=True):
            x = tf.nn.relu(tf.nn.conv2d(x, kernel.value, 2, "SAME") + b.value)
        flat = tf.reshape(x, [-1, dense.shape[0]])
        return tf.nn.relu(flat @ dense.value + bias.value)

    def _dense(self, name: str, count: int, *inputs: Tensor) -> Tensor:
        hidden = tf.concat(inputs, -1)
        weights = self.weights[name][: 2 * count]
        for index in range(0, 2 * count, 2):
            hidden = hidden @ weights[index].value + weights[index + 1].value
            hidden = tf.nn.relu(hidden) if index < 2 * count - 2 else hidden
        return hidden

    def _gaussian(self, name: str, *inputs: Tensor) -> Sequence[Tensor]:
        return tf.split(self._dense(name, 2, *inputs), 2, axis=-1)

    def log_p_y(self, name: str, y: Tensor, *inputs: Tensor) -> Tensor:
        """log p(y|·) of a classifier network; GBZ's has a hidden layer more."""
        logits = self._dense(name, 3 if self.kind == "GBZ" else 2, *inputs)
        return -tf.nn.softmax_cross_entropy_with_logits(y, logits)

    def log_p_z(self, name: str, z: Tensor, *inputs: Tensor) -> Tensor:
        """log p(z|·) of a Gaussian network."""
        return log_normal(z, *self._gaussian(name, *inputs))

    def log_p_x(self, name: str, x: Tensor, *inputs: Tensor) -> Tensor:
        """log p(x|·) of the decoder, l2, normalised."""
        hidden = tf.nn.relu(self._dense(name, 2, *inputs))
        sizes = self.architecture.spatial_sizes()[::-1]
        image = tf.reshape(hidden, [-1, *sizes[0], self.architecture.channels[-1]])
        for index, kernel in enumerate(self.weights[name][4:]):
            shape = [tf.shape(image)[0], *sizes[index + 1], kernel.shape[2]]
            image = tf.nn.conv2d_transpose(image, kernel.value, shape, 2, "SAME")
            image = tf.nn.relu(image) if index < len(sizes) - 2 else tf.sigmoid(image)
        squares = tf.reduce_sum(tf.square(x - image), [1, 2, 3])
        return -squares - 0.5 * self.architecture.num_pixels * LOG_PI


def log_normal(z: Tensor, mean: Tensor | float = 0.0, log_scale: Tensor | float = 0.0) -> Tensor:
    """log N(z; mean, exp(log_scale)²) summed over the last axis."""
    deviation = (z - mean) * tf.exp(-log_scale)
    return -0.5 * tf.reduce_sum(LOG_2PI + 2 * log_scale + tf.square(deviation), -1)


def _log_uniform(y: Tensor) -> Tensor:
    return -math.log(y.shape[-1])


def _features_then_z(r: Reference, name: str, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    return r._features(name, x), z


Formula = Callable[[Reference, Tensor, Tensor, Tensor], Tensor]
FORMULAS: dict[str, Formula] = {
    "GFZ": lambda r, x, y, z: (
        log_normal(z) + r.log_p_y("p_y_z", y, z) + r.log_p_x("p_x_zy", x, z, y)
    ),
    "GFY": lambda r, x, y, z: (
        _log_uniform(y) + r.log_p_z("p_z_y", z, y) + r.log_p_x("p_x_zy", x, z, y)
    ),
    "DFZ": lambda r, x, y, z: (
        log_normal(z)
        + r.log_p_x("p_x_z", x, z)
        + r.log_p_y("p_y_zx", y, *_features_then_z(r, "p_y_zx", x, z))
    ),
    "DFX": lambda r, x, y, z: (
        r.log_p_z("p_z_x", z, r._features("p_z_x", x))
        + r.log_p_y("p_y_zx", y, *_features_then_z(r, "p_y_zx", x, z))
    ),
    "DBX": lambda r, x, y, z: (
        r.log_p_z("p_z_x", z, r._features("p_z_x", x)) + r.log_p_y("p_y_z", y, z)
    ),
    "GBZ": lambda r, x, y, z: log_normal(z) + r.log_p_y("p_y_z", y, z) + r.log_p_x("p_x_z", x, z),
    "GBY": lambda r, x, y, z: _log_uniform(y) + r.log_p_z("p_z_y", z, y) + r.log_p_x("p_x_z", x, z),
}
