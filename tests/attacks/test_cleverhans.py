"""Attacks with gradients are cleverhans' own, image by image."""

import importlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method
from cleverhans.tf2.attacks.momentum_iterative_method import momentum_iterative_method
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

from tests.small import convnet, images, labels_of
from tf_deepbayes.attacks import FGSM, MIM, PGD
from tf_deepbayes.attacks.ball import image_seeds, uniform_in_ball

NET = convnet()
# Away from black and white: cleverhans clips to [0, 1] before or after the ball, by the attack.
X = 0.2 + 0.6 * images(12, shape=(8, 8, 1))
Y = labels_of(NET, X)
PIXELS: dict[str, Any] = {"clip_min": 0.0, "clip_max": 1.0, "y": tf.constant(Y)}
EPS, NORMS = 0.1, [np.inf, 2.0]


def same(ours: np.ndarray, theirs: tf.Tensor) -> None:
    assert np.abs(ours - X).max() > 0.02
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_fgsm(norm: float) -> None:
    same(
        FGSM(norm=norm)(NET, X, Y, EPS),
        fast_gradient_method(NET, tf.constant(X), EPS, norm, **PIXELS),
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("rand_init", [False, True])
def test_pgd(norm: float, rand_init: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same start, which is drawn in another way."""
    x = tf.constant(X)
    sizes: dict[str, Any] = {"eps_iter": 0.03, "nb_iter": 8}
    start = uniform_in_ball(image_seeds(x, 0), x.shape[1:], EPS, norm)
    module = importlib.import_module("cleverhans.tf2.attacks.projected_gradient_descent")
    monkeypatch.setattr(module, "random_lp_vector", lambda *sizes, **options: start)
    ours = PGD(norm=norm, rand_init=rand_init, **sizes)(NET, X, Y, EPS)
    same(
        ours,
        projected_gradient_descent(NET, x, EPS, norm=norm, rand_init=rand_init, **sizes, **PIXELS),
    )


@pytest.mark.parametrize("norm", NORMS)
def test_mim(norm: float) -> None:
    sizes: dict[str, Any] = {"eps_iter": 0.03, "nb_iter": 8, "norm": norm}
    ours = MIM(decay_factor=0.7, **sizes)(NET, X, Y, EPS)
    options = {"decay_factor": 0.7, "sanity_checks": False}
    same(ours, momentum_iterative_method(NET, tf.constant(X), EPS, **sizes, **options, **PIXELS))
