"""PGD and MIM: targets, random start, steps, masked gradients, traces and bad settings."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.small import convnet, images, labels_of
from tf_deepbayes.attacks import MIM, PGD, Attack
from tf_deepbayes.attacks.losses import LOSSES
from tf_deepbayes.evaluation.scoring import EvaluationSet, zero_gradient_share

NET = convnet()
X = images(20, shape=(8, 8, 1))
Y = labels_of(NET, X)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", [PGD, MIM])
def test_targeted_moves_towards_the_target(kind: type[Attack], loss: str) -> None:
    target = (Y + 1) % 5
    adversarial = kind(targeted=True, loss=loss)(NET, X, target, 0.3)  # type: ignore[call-arg]
    assert np.mean(labels_of(NET, adversarial) == target) > 0.5


def test_seeds_of_the_random_start_reproduce() -> None:
    first, again, other = (PGD(nb_iter=1, seed=s)(NET, X, Y, 0.2) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_more_steps_and_a_larger_ball_hurt_more() -> None:
    def accuracy(eps: float, nb_iter: int) -> float:
        adversarial = PGD(nb_iter=nb_iter, eps_iter=0.02, rand_init=False)(NET, X, Y, eps)
        return float(np.mean(labels_of(NET, adversarial) == Y))

    assert accuracy(0.3, 20) <= accuracy(0.1, 20) <= accuracy(0.02, 20)
    assert accuracy(0.3, 20) <= accuracy(0.3, 2)


def test_masked_gradients_fool_cross_entropy_and_not_the_stable_losses() -> None:
    """Logits 300 times larger: the same classifier, hardly a cross-entropy gradient."""
    masked, eps = convnet(scale=300.0), 0.05
    np.testing.assert_array_equal(labels_of(masked, X), Y)

    def accuracy(net: keras.Model, loss: str) -> float:
        attack = PGD(nb_iter=20, eps_iter=0.01, rand_init=False, loss=loss)
        return float(np.mean(labels_of(net, attack(net, X, Y, eps)) == Y))

    honest = accuracy(NET, "cross_entropy")
    assert accuracy(masked, "cross_entropy") > honest + 0.2
    for loss in ("log_odds", "margin", "dlr"):
        assert accuracy(masked, loss) <= honest + 0.05
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            target = EvaluationSet.of(masked, X, Y, draws=1)
            assert zero_gradient_share(masked, target, PGD(loss=loss)) == 0.0


def test_other_numbers_need_no_new_trace() -> None:
    net, traced = convnet(), []

    def logits_fn(x: tf.Tensor) -> tf.Tensor:
        traced.append(x.shape)
        return net(x)

    for attack in (PGD(nb_iter=2), PGD(nb_iter=3, eps_iter=0.05, seed=3), PGD(eot=2, nb_iter=1)):
        for eps in (0.1, 0.2):
            attack(logits_fn, X, Y, eps)
    assert len(traced) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "mse"}, "unknown loss 'mse'; choose one of cross_entropy"),
        ({"norm": 1}, "norm must be inf or 2, got 1"),
        ({"eps_iter": 0.0}, "eps_iter must be a finite number above 0"),
        ({"nb_iter": 0}, "nb_iter must be a whole number of at least 1"),
    ],
)
def test_bad_settings_of_an_attack_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PGD(**options)
