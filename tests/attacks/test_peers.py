"""The same attacks in foolbox: the same images, or the same success rate."""

import os
import warnings
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.small import labels_of
from tf_deepbayes.attacks import FGSM, PGD, CarliniWagnerL2, HopSkipJump
from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array
from tf_deepbayes.data import datasets

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # foolbox imports GitPython; git is not needed
with warnings.catch_warnings():
    # foolbox 3.3.4 takes gaussian_filter from where scipy had it before 1.8.
    warnings.filterwarnings("ignore", "Please import `gaussian_filter`", DeprecationWarning)
    fb: Any = pytest.importorskip("foolbox", reason="foolbox is not installed")

COUNT = 200


@pytest.fixture(scope="module")
def digits() -> tuple[keras.Model, Any, Array, Array]:
    """A small convnet trained on digits, foolbox's view of it, and images it classifies rightly."""
    sets = datasets.load("mnist_5k")
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    net.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.fit(sets.train.pixels, sets.train.labels, epochs=4, batch_size=50, verbose=0)
    right = np.flatnonzero(labels_of(net, sets.test.pixels) == sets.test.labels)[:COUNT]
    x, y = sets.test.pixels[right], sets.test.labels[right]
    assert len(x) == COUNT
    return net, fb.TensorFlowModel(net, bounds=(0, 1), device="/CPU:0"), x, y


def theirs(attack: Any, digits: tuple, eps: float | None) -> tuple[Array, Array]:
    """foolbox's images and whether it says that they succeed."""
    _, model, x, y = digits
    _, images, success = attack(model, tf.constant(x), tf.constant(y), epsilons=eps)
    return images.numpy(), success.numpy()


def assert_same_rate(ours: Array, peer: Array) -> None:
    """Equal success up to chance, three standard errors of the difference.

    Where both attacks are equally strong, each image on which they disagree is a fair coin: of n of
    them the two wins differ by √n in standard deviation. The rates themselves have to be far from 0
    and 1, and the disagreements few, or the comparison would see nothing.
    """
    assert 0.2 < ours.mean() < 0.95
    disagreements = np.sum(ours != peer)
    assert disagreements <= 0.15 * len(ours)
    assert abs(int(ours.sum()) - int(peer.sum())) <= 3 * np.sqrt(disagreements)


def test_fgsm_gives_the_same_images(digits: tuple) -> None:
    net, _, x, y = digits
    ours = FGSM()(net, x, y, 0.1)
    peer, success = theirs(fb.attacks.LinfFastGradientAttack(random_start=False), digits, 0.1)
    # Values whose gradient is zero but for rounding may go either way.
    assert np.mean(np.abs(ours - peer) > 1e-6) < 1e-3
    assert_same_rate(labels_of(net, ours) != y, success)


@pytest.mark.parametrize("random_start", [False, True])
def test_pgd_is_as_strong(digits: tuple, random_start: bool) -> None:
    net, _, x, y = digits
    ours = PGD(nb_iter=15, eps_iter=0.02, rand_init=random_start)(net, x, y, 0.1)
    tf.random.set_seed(0)
    np.random.seed(0)  # noqa: NPY002 - some of foolbox's draws are numpy's global ones
    attack = fb.attacks.LinfPGD(abs_stepsize=0.02, steps=15, random_start=random_start)
    peer, success = theirs(attack, digits, 0.1)
    assert np.abs(peer - x).max() <= 0.1 + 1e-6
    assert_same_rate(labels_of(net, ours) != y, success)


def test_carlini_wagner_finds_as_many_at_the_same_distance(digits: tuple) -> None:
    net, _, x, y = digits
    c, steps, rate = 3.0, 50, 0.02
    ours = CarliniWagnerL2(nb_iter=steps, learning_rate=rate)(net, x, y, c)
    peer, _ = theirs(
        fb.attacks.L2CarliniWagnerAttack(
            binary_search_steps=1, steps=steps, stepsize=rate, initial_const=c, abort_early=False
        ),
        digits,
        None,
    )
    # Ours gives an image that is not broken back as it was; foolbox gives a black one, which it
    # calls a success wherever black is another class.
    success, found = np.abs(ours - x).max((1, 2, 3)) > 0, peer.max((1, 2, 3)) > 0
    assert_same_rate(success, found)
    both = success & found
    sizes = [metrics.perturbation_norms(x[both], images[both])["l2"] for images in (ours, peer)]
    np.testing.assert_allclose(sizes[0].mean(), sizes[1].mean(), rtol=0.01)


def test_the_boundary_attack_comes_as_close(digits: tuple) -> None:
    """Two random walks on eight images: their median distances agree within a third or so."""
    net, model, x, y = digits
    x, y = x[:8], y[:8]
    ours = HopSkipJump(nb_iter=3, initial_samples=50, votes=1)(net, x, y, 1.0)
    np.random.seed(0)  # noqa: NPY002 - foolbox's draws are numpy's global ones
    tf.random.set_seed(0)
    attack = fb.attacks.HopSkipJumpAttack(
        steps=3, initial_gradient_eval_steps=50, constraint="linf"
    )
    peer = attack(model, tf.constant(x), tf.constant(y), epsilons=None)[0].numpy()
    assert (labels_of(net, ours) != y).all()
    medians = [np.median(metrics.perturbation_norms(x, im)["linf"]) for im in (ours, peer)]
    assert medians[0] <= medians[1] * 4 / 3
