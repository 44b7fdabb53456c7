"""SPSA: its estimate of the gradient, and where it stops."""

import dataclasses

import numpy as np
import tensorflow as tf

from tests.small import convnet, images, labels_of
from tf_deepbayes.attacks import SPSA
from tf_deepbayes.core.axes import Tensor

NET = convnet()
X = images(20, shape=(8, 8, 1))
Y = labels_of(NET, X)


class TestSPSA:
    def test_a_linear_loss_is_climbed_along_its_signs(self) -> None:
        """Adam's steps are of one size: with enough samples, all pixels reach the ball's corner."""
        weights = np.random.default_rng(0).choice([-1.0, 1.0], size=(64, 1)).astype(np.float32)

        def logits_fn(x: Tensor) -> Tensor:
            score = tf.reshape(x, [-1, 64]) @ weights
            return tf.concat([score, -score], axis=1)

        x = np.full((2, 8, 8, 1), 0.5, np.float32)
        attack = SPSA(nb_iter=15, spsa_samples=512)
        adversarial = attack(logits_fn, x, np.zeros(2, int), 0.1)
        corner = x - 0.1 * weights.reshape(1, 8, 8, 1)
        assert np.mean(np.abs(adversarial - corner) < 1e-3) > 0.95

    def test_an_image_stays_once_its_loss_is_high_enough_and_the_others_go_on(self) -> None:
        """The margin of the brighter class grows with every step, by its logit's distance."""

        def logits_fn(x: Tensor) -> Tensor:
            sums = tf.reduce_sum(tf.reshape(x, [-1, 64]), 1)
            return tf.stack([30.0 - sums, sums - 30.0], axis=1)

        def margins(x: np.ndarray) -> np.ndarray:
            logits = np.asarray(logits_fn(x))
            return logits[:, 1] - logits[:, 0]

        x = np.stack([np.full((8, 8, 1), value, np.float32) for value in (0.4, 0.48, 0.52)])
        whole = SPSA(nb_iter=12, spsa_samples=32, stop_above=None)
        stopping = dataclasses.replace(whole, stop_above=5.0)
        y = np.zeros(3, int)
        free, stopped = whole(logits_fn, x, y, 0.3), stopping(logits_fn, x, y, 0.3)
        np.testing.assert_array_equal(stopped[2], x[2])  # above 5 before the first step
        before = dataclasses.replace(whole, nb_iter=1)(logits_fn, x, y, 0.3)
        assert margins(x)[1] < 5.0 < margins(stopped)[1] < margins(free)[1]
        assert margins(before)[1] < margins(stopped)[1] < 5.0 + 2 * 64 * 0.02
        assert margins(free)[0] < 5.0
        np.testing.assert_array_equal(stopped[0], free[0])
        endless = dataclasses.replace(stopping, nb_iter=2**31 - 1)  # ends when all have stopped
        assert (margins(endless(logits_fn, x[1:], y[1:], 0.3)) > 5.0).all()

    def test_a_targeted_image_stays_once_it_is_far_inside_its_target(self) -> None:
        attack = SPSA(nb_iter=5, spsa_samples=32, targeted=True, stop_above=-100.0)
        np.testing.assert_array_equal(attack(NET, X, (Y + 1) % 5, 0.2), X)
        moved = dataclasses.replace(attack, stop_above=100.0)(NET, X, (Y + 1) % 5, 0.2)
        assert np.abs(moved - X).max() > 0.01
