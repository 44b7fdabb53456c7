"""Attacks that evaluate only the classes that can matter."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.rounding import assert_close
from tests.small import classifier, convnet, images, labels_of
from tf_deepbayes.attacks import MIM, PGD, Attack, CarliniWagnerL2
from tf_deepbayes.attacks.access import LazyLogits
from tf_deepbayes.attacks.white_box.lazy_logits import NearClasses
from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError

NET = convnet()
X = images(12, shape=(8, 8, 1))
Y = labels_of(NET, X)


def spread(x: Tensor) -> Tensor:
    """Logits with gaps like those of a deep Bayes classifier: two or three classes matter."""
    return 15.0 * NET(x)


class Counting:
    """Counts the (image, class) pairs that are evaluated; the others come back as nonsense."""

    def __init__(self) -> None:
        self.pairs = tf.Variable(0, dtype=tf.int32)
        self.logits = LazyLogits(self.all, self.some)

    def all(self, x: Tensor) -> Tensor:
        self.pairs.assign_add(5 * tf.shape(x)[0])
        return spread(x)

    def some(self, x: Tensor, wanted: Tensor) -> Tensor:
        self.pairs.assign_add(tf.reduce_sum(tf.cast(wanted, tf.int32)))
        return tf.where(wanted, spread(x), -1e30)


@pytest.mark.parametrize(
    ("attack", "eps"),
    [
        (PGD(nb_iter=20, eps_iter=0.02, loss="log_odds", lazy_classes=5), 0.1),
        (PGD(nb_iter=20, eps_iter=0.02, loss="margin", lazy_classes=5, eot=2), 0.1),
        (PGD(nb_iter=40, eps_iter=0.02, loss="margin", lazy_classes=5, targeted=True), 0.3),
        (MIM(nb_iter=20, eps_iter=0.02, lazy_classes=5), 0.1),
        (CarliniWagnerL2(nb_iter=100, lazy_classes=5, learning_rate=0.05), 10.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_success_is_that_of_all_classes_at_fewer_evaluations(attack: Attack, eps: float) -> None:
    labels = (Y + 1) % 5 if attack.targeted else Y
    lazy, whole = Counting(), Counting()
    found = attack(lazy.logits, X, labels, eps)
    plain = dataclasses.replace(attack, lazy_classes=0)  # type: ignore[call-arg]
    expected = plain(whole.all, X, labels, eps)
    hit = labels_of(NET, found) == labels
    assert abs(hit.mean() - (labels_of(NET, expected) == labels).mean()) <= 1 / len(X)
    assert (hit == attack.targeted).mean() > 0.4
    assert lazy.pairs.numpy() < 0.8 * whole.pairs.numpy()


@pytest.mark.parametrize("loss", ["log_odds", "margin"])  # cross-entropy vanishes there
def test_what_all_classes_share_does_not_lead_astray(loss: str) -> None:
    """As p(x) in a joint density: the label is far ahead, and the rest differ by little."""
    pattern = np.random.default_rng(0).normal(size=[1, 8, 8, 1]).astype(np.float32)

    def joint(x: Tensor) -> Tensor:
        return spread(x) + 100.0 * tf.reduce_sum(pattern * x, [1, 2, 3])[:, None]

    lazy = LazyLogits(joint, lambda x, wanted: tf.where(wanted, joint(x), -1e30))
    logits = np.sort(joint(tf.constant(X)), 1)
    ahead = logits[:, -1] - logits[:, -2]
    assert ahead.max() > 8.0
    attack = PGD(nb_iter=4, eps_iter=0.02, loss=loss, rand_init=False)
    found = dataclasses.replace(attack, lazy_classes=5)(lazy, X, Y, 0.05)
    np.testing.assert_allclose(found, attack(joint, X, Y, 0.05), atol=1e-6)


def test_a_class_that_comes_near_is_taken_up() -> None:
    near = NearClasses(LazyLogits(spread, lambda x, w: tf.where(w, spread(x), -1e30)), 3)

    def evaluate(x: Tensor, y: Tensor, step: Tensor, known: Tensor) -> Tensor:
        return near.step_logits(x, y, step, known)[0]

    x, labels = tf.constant(X), tf.constant(Y)
    stale = tf.zeros_like(spread(x))  # all are near
    np.testing.assert_allclose(evaluate(x, labels, tf.constant(1), stale), spread(x))
    far = tf.tensor_scatter_nd_add(stale - 100.0, [[0, 0]], [100.0])
    found = evaluate(x, labels, tf.constant(1), far).numpy()
    own = Y[0] == np.arange(5)
    np.testing.assert_array_equal(found[0][1:][~own[1:]], -100.0)  # the values known so far
    np.testing.assert_allclose(found[0, 0], spread(x)[0, 0])
    np.testing.assert_allclose(evaluate(x, labels, tf.constant(3), far), spread(x))


@pytest.mark.parametrize("name", ["GFZ", "GBY", "DFX"])
def test_some_logits_are_those_of_logits(name: str) -> None:
    model, x = classifier(name), tf.constant(images(5))
    wanted = np.random.default_rng(0).uniform(size=(5, 3)) < 0.5
    wanted[:, 1] = True
    for block in (1, 7, 1000):
        model.block_size = block
        found = model.class_logits(x, tf.constant(wanted), num_samples=3, seed=4).numpy()
        expected = model.logits(x, num_samples=3, seed=4).numpy()
        assert_close(found[wanted], expected[wanted])
        assert (found[~wanted] < -1e29).all()


def test_their_gradient_is_that_of_logits_within_a_percent() -> None:
    model, x = classifier("GFZ"), tf.constant(images(5))
    everything = tf.ones([5, 3], tf.bool)
    some = functools.partial(model.class_logits, wanted=everything, num_samples=3, seed=4)
    found = []
    for logits_fn in (some, functools.partial(model.logits, num_samples=3, seed=4)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            first = logits_fn(x)[:, 0]
        found.append(tape.gradient(first, x).numpy())
    assert np.abs(found[0] - found[1]).max() < 0.01 * np.abs(found[1]).max()


def test_a_classifier_that_cannot_is_refused() -> None:
    with pytest.raises(InputError, match="lazy_classes needs a classifier"):
        PGD(lazy_classes=5)(NET, X, Y, 0.1)
    with pytest.raises(InputError, match="lazy_classes must be a whole number of at least 0"):
        PGD(lazy_classes=-1)
