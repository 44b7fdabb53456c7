"""The attacks on head and features: each loss in plain numpy, targets, the iterate that is kept."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.small import VECTORS, classifier, images
from tf_deepbayes.attacks import HeadLogit, ImitateFeatures, ImitateHead, Targets
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.attacks.adaptive import attacks as adaptive
from tf_deepbayes.attacks.adaptive.kept_iterate import good
from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.detection import Divergence

RANDOM = np.random.default_rng(0)
X, Y = images(5, shape=(4, 4, 1)), np.array([2, 0, 1, 2, 0])
TARGETS = Targets(images(2, seed=1, shape=(4, 4, 1)), np.array([2, 0]))
WEIGHTS = RANDOM.normal(size=(16, 3)).astype(np.float32)
STEPS: dict[str, Any] = {"nb_iter": 6, "batch_size": 3}


def logits(x: Tensor) -> Tensor:
    """A linear classifier of 4×4 images in three classes."""
    return tf.reshape(x, [-1, 16]) @ WEIGHTS


def head(x: Tensor, y: Tensor) -> Tensor:
    """Two draws of a head that is given the class, `[2, B, 3]`."""
    given = 0.1 * tf.one_hot(y, 3)
    return tf.stack([logits(x) + given, 2.0 * logits(x) - given])


ACCESS = ModelAccess(logits, None, logits, head)


def test_the_losses_are_those_of_plain_numpy() -> None:
    values = RANDOM.normal(size=(4, 5, 3)).astype(np.float32)  # [K, B, C]
    goals = RANDOM.normal(size=(5, 3)).astype(np.float32)
    own = values[:, np.arange(5), Y]
    given = tf.constant(Y), tf.constant(goals), tf.constant(values)
    np.testing.assert_allclose(adaptive.true_logit(*given), own.mean(0), rtol=1e-5)
    for weight in (10.0, 1.0, 0.0):
        wanted = (np.square(values - goals).sum(2) + weight * own).mean(0)
        found = adaptive.HeadDistance(weight)(*given)
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    found = adaptive.feature_distance(given[0], given[1], given[2][0])
    np.testing.assert_allclose(found, np.square(values[0] - goals).sum(1), rtol=1e-5)
    assert ImitateHead().loss_fn() == ImitateHead().loss_fn() == adaptive.HeadDistance(10.0)


def test_the_published_settings_are_the_defaults() -> None:
    for attack in (HeadLogit(), ImitateHead(), ImitateFeatures()):
        assert (attack.nb_iter, attack.step_factor) == (200, 4.0)
    assert ImitateHead().check_every == 1 and ImitateHead().true_logit_weight == 10.0


def test_ships_imitate_the_second_target_and_all_others_the_first() -> None:
    values = tf.constant([[1.0], [2.0]])
    assert TARGETS.of(values, tf.constant(Y)).numpy()[:, 0].tolist() == [2.0, 1.0, 1.0, 2.0, 1.0]


def test_the_steps_are_those_of_a_plain_loop() -> None:
    """Down the sign of the gradient by 4ε/N, clipped to the ball and to [0, 1]; N − 1 of them."""
    eps, attack = 0.1, HeadLogit(nb_iter=5, batch_size=5)
    start = HeadLogit(nb_iter=1, batch_size=5)(ACCESS, X, Y, eps)  # of one iterate, no step
    assert np.abs(start - X).max() <= eps + 1e-6 and np.abs(start - X).max() > 0.05
    now = start.copy()
    for _ in range(4):
        gradient = 1.5 * WEIGHTS[:, Y].T.reshape(X.shape)  # of the mean of the two draws
        now = now - 4.0 * eps / 5 * np.sign(gradient)
        now = np.clip(np.clip(now, X - eps, X + eps), 0.0, 1.0)
    np.testing.assert_allclose(attack(ACCESS, X, Y, eps), now, atol=1e-6)
    own = head(tf.constant(now), tf.constant(Y)).numpy().mean(0)[np.arange(5), Y]
    before = head(tf.constant(start), tf.constant(Y)).numpy().mean(0)[np.arange(5), Y]
    assert (own <= before).all() and (own < before).any()


@pytest.mark.parametrize("attack", [ImitateHead, ImitateFeatures])
def test_an_image_that_never_succeeds_comes_back_clean(attack: type) -> None:
    given = attack(targets=TARGETS, **STEPS)
    constant = ModelAccess(
        lambda x: tf.one_hot(Y[: len(x)], 3) + 0.0 * logits(x), None, logits, head
    )
    right = np.array([2, 0, 1])
    np.testing.assert_array_equal(given(constant, X[:3], right, 0.1), X[:3])


def test_the_last_good_iterate_is_kept() -> None:
    """A classifier that is wrong in its second and third answer only."""
    answers: list[np.ndarray] = []

    def judge(x: Tensor) -> Tensor:
        def answer(values: np.ndarray) -> np.ndarray:
            answers.append(values.copy())
            wrong = len(answers) in (2, 3)
            return np.eye(3, dtype=np.float32)[(Y[:3] + wrong) % 3]

        found = tf.numpy_function(answer, [x], tf.float32)
        return tf.ensure_shape(found, [3, 3])

    access = ModelAccess(judge, None, logits, head)
    kept = ImitateFeatures(targets=TARGETS, **STEPS)(access, X[:3], Y[:3], 0.1)
    np.testing.assert_array_equal(kept, answers[2])
    assert len(answers) == 6 and not np.array_equal(kept, answers[5])


def test_imitation_comes_nearer_to_its_target() -> None:
    always = ModelAccess(
        lambda x: -10.0 * tf.one_hot(Y[:3], 3) + 0.0 * logits(x), None, logits, head
    )
    attack = ImitateFeatures(targets=TARGETS, nb_iter=20, batch_size=3)
    found = attack(always, X[:3], Y[:3], 0.2)
    goals = TARGETS.of(logits(tf.constant(TARGETS.images)), tf.constant(Y[:3]))
    before, after = (np.square(logits(tf.constant(x)) - goals).sum(1) for x in (X[:3], found))
    assert (after < before).all()


def test_an_iterate_has_to_pass_the_detector() -> None:
    train = RANDOM.normal(size=(60, 3)).astype(np.float32) * 4.0
    detector = Divergence("kl").fit(train, train.argmax(1), 0.3)
    values = RANDOM.normal(size=(40, 3)).astype(np.float32) * 4.0
    labels = np.zeros(40, int)
    wanted = (values.argmax(1) != 0) & ~detector.reject(values)
    found = good(tf.constant(values), tf.constant(labels), detector).numpy()
    np.testing.assert_array_equal(found, wanted)
    assert 0 < wanted.sum() < (values.argmax(1) != 0).sum()


def test_a_detector_fitted_again_in_place_judges_as_it_is_now() -> None:
    train = RANDOM.normal(size=(60, 3)).astype(np.float32) * 4.0
    access = ModelAccess(lambda x: tf.roll(logits(x), 1, 1), None, logits, head)
    labels = logits(tf.constant(X)).numpy().argmax(1)  # every image is misclassified
    detector = Divergence("kl", "quantile")

    def attacked(rate: float) -> np.ndarray:
        detector.fit(train, train.argmax(1), rate)
        given = ImitateFeatures(targets=TARGETS, detector=detector, **STEPS)
        return given(access, X, labels, 0.1)

    lenient, strict = attacked(0.001), attacked(0.99)
    assert np.abs(lenient - X).max() > 0.0
    assert not np.array_equal(lenient, strict)


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"two targets of two classes, got 2 images of classes"):
        Targets(TARGETS.images, np.array([1, 1]))
    with pytest.raises(InputError, match=r"needs two images to imitate; give it targets"):
        ImitateHead(**STEPS)(ACCESS, X, Y, 0.1)
    with pytest.raises(InputError, match=r"judges its iterates by the classifier's logits"):
        ImitateFeatures(targets=TARGETS)(logits, X, Y, 0.1)
    with pytest.raises(InputError, match=r"has targets of its own; leave out targeted"):
        HeadLogit(targeted=True)
    with pytest.raises(InputError, match=r"^HeadLogit needs the classifier's label_logits"):
        HeadLogit()(dataclasses.replace(ACCESS, label_logits=None), X, Y, 0.1)
    with pytest.raises(InputError, match=r"true_logit_weight must be"):
        ImitateHead(true_logit_weight=-1.0)


def test_a_model_is_attacked_directly() -> None:
    sizes = dataclasses.replace(VECTORS, input_shape=(8, 8, 1), channels=(2, 3, 4))
    model = classifier("GBZ", sizes)
    x, y = images(3, shape=(8, 8, 1)), np.array([0, 1, 2])
    targets = Targets(images(2, seed=1, shape=(8, 8, 1)), np.array([2, 0]))
    for attack in (HeadLogit(nb_iter=2), ImitateHead(targets=targets, nb_iter=2)):
        found = attack(model, x, y, 0.1)
        assert found.shape == x.shape and np.abs(found - x).max() <= 0.1 + 1e-6
    with pytest.raises(InputError, match=r"GBY has no p\(y\|z\) whose logits could be followed"):
        HeadLogit(nb_iter=2)(classifier("GBY", sizes), x, y, 0.1)
