"""Attacks on a small convnet, and how their outcome is reported."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

from tests.small import classifier, convnet, images, labels_of
from tf_deepbayes import attacks
from tf_deepbayes.attacks import (
    FGSM,
    MIM,
    PGD,
    SPSA,
    Attack,
    CarliniWagnerL2,
    HopSkipJump,
    RandomNoise,
    Square,
)
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array
from tf_deepbayes.evaluation.runner import run
from tf_deepbayes.evaluation.scoring import EvaluationSet

ATTACKS: list[Attack] = [
    FGSM(),
    FGSM(norm=2),
    FGSM(batch_size=7, loss="margin"),
    PGD(nb_iter=10, eps_iter=0.1),
    PGD(nb_iter=10, eps_iter=0.1, loss="log_odds", batch_size=7),
    PGD(nb_iter=10, eps_iter=0.3, norm=2, loss="dlr"),
    PGD(nb_iter=10, eps_iter=0.1, rand_init=False, loss="margin"),
    MIM(nb_iter=10, eps_iter=0.1),
    MIM(nb_iter=10, eps_iter=0.3, norm=2, rand_init=True),
    SPSA(nb_iter=10, learning_rate=0.05, spsa_samples=32, batch_size=7),
    Square(nb_iter=100),
    Square(nb_iter=100, norm=2, rescore=0),
    HopSkipJump(nb_iter=3, initial_samples=20, votes=1),
    HopSkipJump(nb_iter=3, initial_samples=20, votes=1, norm=2, batch_size=7),
    RandomNoise(nb_iter=20, corners=True),
    RandomNoise(nb_iter=50, norm=2),
]
NET = convnet()
X = images(20, shape=(8, 8, 1))
Y = labels_of(NET, X)


def size_of(attack: Attack, adversarial: Array) -> Array:
    """Size of each perturbation in the attack's norm."""
    norm = "l2" if getattr(attack, "norm", np.inf) == 2 else "linf"
    return metrics.perturbation_norms(X, adversarial)[norm]


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
class TestEveryAttack:
    def test_it_stays_in_the_ball_and_the_pixel_range(self, attack: Attack) -> None:
        adversarial = attack(NET, X, Y, 0.2)
        assert adversarial.shape == X.shape
        assert adversarial.dtype == np.float32
        assert size_of(attack, adversarial).max() <= 0.2 + 1e-6
        assert adversarial.min() >= 0 and adversarial.max() <= 1

    def test_it_lowers_accuracy(self, attack: Attack) -> None:
        adversarial = attack(NET, X, Y, 1.0 if getattr(attack, "norm", 0) == 2 else 0.3)
        assert np.mean(labels_of(NET, adversarial) == Y) < 0.7

    def test_an_image_does_not_depend_on_its_batch_mates(self, attack: Attack) -> None:
        """Nor on its place; a batch of one image is traced for a part of the attacks only."""
        together = attack(NET, X, Y, 0.1)
        others = images(17, seed=2, shape=(8, 8, 1))
        x, y = (
            np.concatenate([X[2::-1], others]),
            np.concatenate([Y[2::-1], labels_of(NET, others)]),
        )
        np.testing.assert_allclose(attack(NET, x, y, 0.1)[2::-1], together[:3], atol=1e-5)
        if attack.batch_size == 7:
            alone = [attack(NET, X[i : i + 1], Y[i : i + 1], 0.1) for i in range(3)]
            np.testing.assert_allclose(np.concatenate(alone), together[:3], atol=1e-5)

    def test_eps_zero_returns_the_input(self, attack: Attack) -> None:
        np.testing.assert_array_equal(attack(NET, X, Y, 0.0), X)

    def test_one_hot_labels_mean_the_same(self, attack: Attack) -> None:
        np.testing.assert_array_equal(attack(NET, X, np.eye(5)[Y], 0.1), attack(NET, X, Y, 0.1))


def test_one_targeted_step_moves_some_images_to_the_target() -> None:
    target = (Y + 1) % 5
    adversarial = FGSM(targeted=True)(NET, X, target, 0.3)
    assert np.mean(labels_of(NET, adversarial) == target) > 0.3


@pytest.mark.parametrize(
    ("x", "y", "eps", "message"),
    [
        (X, Y, -0.1, "eps must be a finite number of at least 0, got -0.1"),
        (X, Y, np.nan, "eps"),
        (X * 255, Y, 0.1, "divide bytes by 255"),
        ((X * 255).astype(np.uint8), Y, 0.1, "got uint8"),
        (np.where(X > 0.9, np.nan, X), Y, 0.1, "NaN"),
        (X, Y[:-1], 0.1, "one label for each of 20 images, got 19"),
        (X, Y - 5, 0.1, "labels must be from 0"),
    ],
)
def test_bad_input_is_refused_in_words(x: Array, y: Array, eps: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FGSM()(NET, x, y, eps)


def test_attacks_are_built_by_name_with_the_options_they_have() -> None:
    assert attacks.build("pgd", nb_iter=3, loss=None, targeted=False) == PGD(nb_iter=3)
    with pytest.raises(ValueError, match="unknown attack 'fgms'; choose one of fgsm"):
        attacks.build("fgms")
    with pytest.raises(ValueError, match="nb_iter does not apply to fgsm; leave it out"):
        attacks.build("fgsm", nb_iter=3)


def test_outcome_figures_are_consistent() -> None:
    wrong_label = np.where(np.arange(20) < 5, (Y + 1) % 5, Y)
    target = EvaluationSet.of(NET, X, wrong_label)
    outcome = run(FGSM(), ModelAccess(NET), target, 0.3)
    after = labels_of(NET, outcome.adversarial)
    figures = outcome.figures
    assert figures["clean_accuracy"] == pytest.approx(0.75)
    assert figures["success_rate"] == pytest.approx(np.mean(after[5:] != Y[5:]))
    assert figures["accuracy"] == pytest.approx(1 - figures["error_rate"])
    assert figures["perturbation"]["linf"]["max"] == pytest.approx(0.3, abs=1e-6)
    assert figures["clean_prediction_changes"] == 0.0
    low, high = figures["success_rate_interval"]
    assert low < figures["success_rate"] <= high


def test_targeted_outcome_covers_every_other_class() -> None:
    target = EvaluationSet.of(NET, X[:4], Y[:4], targeted=True)
    assert len(target.images) == 16
    assert (target.attack_labels != target.labels).all()
    outcome = run(FGSM(targeted=True), ModelAccess(NET), target, 0.3)
    reached = labels_of(NET, outcome.adversarial) == target.attack_labels
    assert outcome.figures["success_rate"] == pytest.approx(reached.mean())


def test_masked_gradients_are_reported() -> None:
    masked = convnet(scale=1000.0)
    with pytest.warns(UserWarning, match="gradient of exactly zero"):
        outcome = run(FGSM(), ModelAccess(masked), EvaluationSet.of(masked, X, Y), 0.1)
    assert outcome.figures["zero_gradients"] > 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = run(FGSM(), ModelAccess(NET), EvaluationSet.of(NET, X, Y), 0.1).figures
    assert figures["zero_gradients"] == 0.0


def test_the_share_of_terms_that_count_is_reported() -> None:
    hopeless = tf.constant([0.0, 0.0, -100.0, 0.0, -200.0])  # nats: two of five classes

    def log_weights(x: tf.Tensor) -> tf.Tensor:
        return tf.transpose(tf.nn.log_softmax(NET(x) / 100.0) + hopeless)[None]

    target = EvaluationSet.of(NET, X, np.zeros_like(Y))
    access = ModelAccess(NET, log_weights)
    assert run(FGSM(batch_size=5), access, target, 0.1).figures["counting_terms"] == 0.6
    assert run(FGSM(), ModelAccess(NET), target, 0.1).figures["counting_terms"] is None


@pytest.mark.parametrize("attack", [FGSM(), FGSM(norm=2), PGD(nb_iter=2, rand_init=False)])
def test_a_classifier_without_any_gradient_is_reported_not_broken(attack: Attack) -> None:
    rounded = lambda x: NET(tf.round(4.0 * x) / 4.0)  # noqa: E731
    with pytest.warns(UserWarning, match="100.0% of the images have a gradient of exactly zero"):
        outcome = run(attack, ModelAccess(rounded), EvaluationSet.of(rounded, X, Y), 0.1)
    np.testing.assert_array_equal(outcome.adversarial, X)
    CarliniWagnerL2(nb_iter=2)(rounded, X, Y, 1.0)


def test_noise_of_a_sampling_classifier_is_fresh_at_each_call_and_traced_once() -> None:
    model = classifier("GBY")
    traces = []

    def logits_fn(x: tf.Tensor) -> tf.Tensor:
        traces.append(x.shape)
        return model.logits(x, num_samples=2)

    x, y = images(7), np.zeros(7, int)
    attack = FGSM(batch_size=3)
    first, second = attack(logits_fn, x, y, 0.1), attack(logits_fn, x, y, 0.1)
    assert np.abs(first - second).max() > 0
    assert len(traces) == 1
    target = EvaluationSet.of(lambda x: model.logits(x, num_samples=1), x, y)
    assert target.clean_prediction_changes > 0
