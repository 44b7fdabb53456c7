"""Images that are broken leave the batch, and nothing else changes."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.small import classifier, convnet, images, labels_of
from tf_deepbayes import attacks
from tf_deepbayes.attacks import MIM, PGD, LogitMatching, Superwhite
from tf_deepbayes.attacks.access import LazyLogits, ModelAccess
from tf_deepbayes.attacks.losses import margin
from tf_deepbayes.attacks.white_box import early_stopping
from tf_deepbayes.attacks.white_box.pgd import IterativeAttack
from tf_deepbayes.core.axes import Array, LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.evaluation.batch_store import BatchStore
from tf_deepbayes.evaluation.runner import run
from tf_deepbayes.evaluation.scoring import EvaluationSet

NET = convnet(scale=12.0)
X = images(24, shape=(8, 8, 1))
Y = labels_of(NET, X)
LAZY = LazyLogits(NET, lambda x, wanted: tf.where(wanted, NET(x), -1e30))
# Steps of the l2 norm do not turn with the rounding of a sign.
SMOOTH = PGD(nb_iter=20, eps_iter=0.1, norm=2, loss="log_odds", early_stop=True, check_every=3)


def without(attack: IterativeAttack, **options: Any) -> IterativeAttack:
    """The same attack with all steps."""
    return dataclasses.replace(attack, early_stop=False, **options)


def steps_of(attack: IterativeAttack, logits_fn: LogitsFn, y: Array, eps: float) -> Array:
    """Steps that each image took."""
    steps = [part().steps for part in attack.parts(logits_fn, X, y, eps)]
    assert all(taken is not None for taken in steps)
    return np.concatenate(steps)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attack", "logits_fn"),
    [
        (SMOOTH, NET),
        (dataclasses.replace(SMOOTH, targeted=True, batch_size=9), NET),
        (dataclasses.replace(SMOOTH, lazy_classes=4, check_every=5), LAZY),
        (
            MIM(nb_iter=20, eps_iter=0.1, norm=2, loss="margin", early_stop=True, check_every=2),
            NET,
        ),
    ],
    ids=["plain", "targeted", "lazy", "momentum"],
)
def test_an_image_goes_the_same_way_until_it_leaves(
    attack: IterativeAttack, logits_fn: LogitsFn
) -> None:
    y = (Y + 1) % 5 if attack.targeted else Y
    found, steps = attack(logits_fn, X, y, 1.5), steps_of(attack, logits_fn, y, 1.5)
    assert len(set(steps)) > 2 and steps.max() <= attack.nb_iter
    for count in set(steps.tolist()):
        assert count % attack.check_every == 0 or count == attack.nb_iter
        expected = without(attack, nb_iter=count)(logits_fn, X, y, 1.5)
        left = steps == count
        np.testing.assert_allclose(found[left], expected[left], atol=1e-4)
    lead = margin(tf.constant(y), NET(found)).numpy() * (-1 if attack.targeted else 1)
    assert (lead[steps < attack.nb_iter] > early_stopping.MARGIN).all()
    fooled = labels_of(NET, without(attack)(logits_fn, X, y, 1.5)) == y
    np.testing.assert_array_equal(labels_of(NET, found) == y, fooled)


class Noisy:
    """A classifier that samples, and counts the images whose logits are asked for."""

    def __init__(self, scale: float, logits_fn: LogitsFn = NET) -> None:
        self.generator = tf.random.Generator.from_seed(0)
        self.images = tf.Variable(0, dtype=tf.int32)
        self.scale, self.logits_fn = scale, logits_fn

    def __call__(self, x: Tensor) -> Tensor:
        self.images.assign_add(tf.shape(x)[0])
        logits = self.logits_fn(x)
        return logits + self.scale * self.generator.normal(tf.shape(logits))


def test_a_classifier_that_samples_is_broken_as_often_at_less_cost() -> None:
    attack = PGD(nb_iter=30, loss="log_odds", early_stop=True, check_every=5)
    rates, cost = [], []
    for kind in (attack, without(attack)):
        noisy = Noisy(2.0)
        target = EvaluationSet.of(NET, X, Y, draws=1)
        target = dataclasses.replace(target, logits_fn=noisy, draws=20)
        figures = run(kind, ModelAccess(noisy), target, 0.1, zero_gradients=0.0).figures
        rates.append(figures["success_rate"])
        cost.append(noisy.images.numpy() - 20 * len(X))
    assert abs(rates[0] - rates[1]) < 0.05 and rates[0] > 0.5
    assert cost[0] < 0.8 * cost[1]


def test_luck_lets_no_image_leave() -> None:
    """Half of all draws misclassify each image: of single draws all but a few would take luck."""
    even = tf.constant([0.0, 0.0, -100.0, -100.0, -100.0])
    lottery = Noisy(2.0, lambda x: even + 0.0 * NET(x))
    attack = PGD(nb_iter=10, early_stop=True, check_every=2)
    steps = steps_of(attack, lottery, np.zeros(len(X), int), 0.1)
    assert (steps == attack.nb_iter).mean() > 0.8


def test_the_classifier_to_be_fooled_decides(tmp_path: pathlib.Path) -> None:
    """And not the one whose gradients are followed; the steps survive an interruption."""
    stubborn = lambda x: 100.0 * tf.one_hot(tf.constant(Y[0]), 5) + 0.0 * NET(x)  # noqa: E731
    rows = Y[0] == Y
    whole = run(SMOOTH, ModelAccess(NET), EvaluationSet.of(stubborn, X[rows], Y[rows]), 1.5, None)
    assert whole.figures["mean_steps"] == SMOOTH.nb_iter
    attack, target = dataclasses.replace(SMOOTH, batch_size=9), EvaluationSet.of(NET, X, Y)
    store = BatchStore(tmp_path, {"attack": attack.settings()}, resume=True)
    first = run(attack, ModelAccess(NET), target, 1.5, store).figures
    assert first["mean_steps"] == pytest.approx(steps_of(attack, NET, Y, 1.5).mean())
    again = run(attack, ModelAccess(NET), target, 1.5, store).figures
    assert again["mean_steps"] == first["mean_steps"] < SMOOTH.nb_iter
    assert "mean_steps" not in run(without(attack), ModelAccess(NET), target, 1.5).figures


def test_batches_of_any_size_share_a_trace() -> None:
    traced = []

    def logits_fn(x: Tensor) -> Tensor:
        traced.append(x.shape)
        return NET(x)

    dataclasses.replace(SMOOTH, batch_size=7)(logits_fn, X, Y, 1.5)
    before = len(traced)
    dataclasses.replace(SMOOTH, batch_size=7, nb_iter=9, check_every=2)(logits_fn, X, Y, 0.7)
    assert before == len(traced) == 2  # the gradient and the judge


@pytest.mark.parametrize("name", ["GFZ", "DFX"])
def test_deep_bayes_classifiers_take_batches_that_shrink(name: str) -> None:
    """Half of the images are misclassified from the beginning."""
    model, x = classifier(name), images(6)
    logits_fn = lambda x: 20.0 * model.logits(x, num_samples=2, mode="fixed")  # noqa: E731
    y = (logits_fn(tf.constant(x)).numpy().argmax(1) + np.arange(6) % 2) % 3
    attack = PGD(nb_iter=4, loss="log_odds", early_stop=True, check_every=1)
    (part,) = [part() for part in attack.parts(logits_fn, x, y, 0.1)]
    assert part.steps is not None and part.steps[1::2].min() < 4
    assert np.abs(part.images - x).max() <= 0.1 + 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Superwhite(early_stop=True), "early_stop does not fit Superwhite"),
        (lambda: LogitMatching(early_stop=True), "early_stop does not fit LogitMatching"),
        (lambda: attacks.build("cw", early_stop=True), "early_stop does not apply to cw"),
        (lambda: PGD(early_stop=True, check_every=0), "check_every must be a whole number"),
    ],
)
def test_it_is_refused_where_it_does_not_fit(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
