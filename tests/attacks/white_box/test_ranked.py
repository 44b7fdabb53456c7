"""PGD towards one class at a time, and steps that decline."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.small import convnet, images, labels_of
from tf_deepbayes.attacks import MIM, PGD, RankedPGD
from tf_deepbayes.attacks.white_box.ranked import ranked_classes, towards
from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError

NET = convnet()
X = images(20, shape=(8, 8, 1))
Y = labels_of(NET, X)
CORNER = tf.constant([[0.0, 3.0, 1.0], [2.0, 0.0, -1.0]])


def margins(x: np.ndarray) -> np.ndarray:
    """max_{c≠y} z_c − z_y of each image."""
    logits = np.array(NET(x))
    own = logits[np.arange(len(x)), Y]
    logits[np.arange(len(x)), Y] = -np.inf
    return logits.max(1) - own


def test_other_classes_by_their_logits() -> None:
    logits = np.array([[5.0, 1.0, 3.0, 4.0], [0.0, 9.0, 2.0, 1.0]])
    np.testing.assert_array_equal(
        ranked_classes(logits, np.array([0, 2])), [[3, 1], [2, 3], [1, 0]]
    )
    pair = tf.constant([[0, 3], [2, 1]])
    np.testing.assert_array_equal(towards(pair, tf.constant(logits)), [-1.0, 7.0])


def test_it_keeps_the_best_of_its_runs() -> None:
    """One run for each class: no run alone is better on any image, and some class is needed."""
    options: dict[str, Any] = {"nb_iter": 10, "eps_iter": 0.2}
    best = margins(RankedPGD(ranks=4, **options)(NET, X, Y, 0.1))
    first = margins(RankedPGD(ranks=1, **options)(NET, X, Y, 0.1))
    assert (best >= first - 1e-5).all() and (best > first + 0.01).any()
    more = RankedPGD(ranks=9, **options)(NET, X, Y, 0.1)
    np.testing.assert_allclose(margins(more), best, atol=1e-5)


def test_it_reaches_a_class_that_is_not_the_nearest() -> None:
    """Of three classes the second is nearest and out of reach; log odds climb towards it alone."""

    def logits_fn(x: Tensor) -> Tensor:
        one, other = x[:, 0, 0, 0], x[:, 0, 1, 0]
        near = -1.0 + 2.0 * tf.minimum(one, 0.45)  # at most −0.1
        far = -20.0 + 250.0 * tf.maximum(other - 0.42, 0.0)
        return tf.stack([tf.zeros_like(near), near, far], 1)

    x, y = np.full([4, 1, 2, 1], 0.4, np.float32), np.zeros(4, int)
    options: dict[str, Any] = {"nb_iter": 20, "eps_iter": 0.2, "seed": 3}
    plain = PGD(loss="margin", schedule="linear", rand_init=False, **options)(logits_fn, x, y, 0.1)
    assert (labels(logits_fn, plain) == 0).all()
    found = RankedPGD(ranks=2, **options)(logits_fn, x, y, 0.1)
    assert (labels(logits_fn, found) == 2).all()


def labels(logits_fn, x: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    return np.asarray(logits_fn(tf.constant(x))).argmax(1)


@pytest.mark.parametrize(
    "option", [{"targeted": True}, {"loss": "dlr"}, {"early_stop": True}, {"lazy_classes": 3}]
)
def test_settings_that_do_not_fit_are_refused(option: dict) -> None:
    with pytest.raises(InputError, match=f"{next(iter(option))} does not apply to ranked"):
        RankedPGD(**option)
    with pytest.raises(InputError, match="ranks must be a whole number"):
        RankedPGD(ranks=0)


def test_declining_steps_are_those_of_their_formula() -> None:
    """On a loss with a constant gradient: start + Σ eps_iter · (1 − i/N), before any bound."""
    sums = lambda x: tf.stack([tf.zeros(x.shape[0]), tf.reduce_sum(x, [1, 2, 3])], 1)  # noqa: E731
    x, y = np.full([3, 2, 2, 1], 0.2, np.float32), np.zeros(3, int)
    plain: dict[str, Any] = {"nb_iter": 5, "eps_iter": 0.01, "rand_init": False, "loss": "margin"}
    for kind in (PGD, MIM):
        moved = kind(schedule="linear", **plain)(sums, x, y, 0.5) - x
        np.testing.assert_allclose(moved, 0.01 * (1.0 + 0.8 + 0.6 + 0.4 + 0.2), atol=1e-6)
        constant = kind(**plain)(sums, x, y, 0.5) - x
        np.testing.assert_allclose(constant, 0.05, atol=1e-6)
    with pytest.raises(InputError, match="schedule must be one of constant, linear, got 'cosine'"):
        PGD(schedule="cosine")


def test_the_published_schedule_is_not_recorded_and_another_is() -> None:
    """So that results and batches on disk are still those of the same attack."""
    assert "schedule" not in PGD().settings()
    assert PGD(schedule="linear").settings()["schedule"] == "linear"
    assert dataclasses.replace(PGD(schedule="linear"), schedule="constant") == PGD()
