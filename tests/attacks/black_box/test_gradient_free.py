"""Attacks without gradients; what all attacks have in common is tested in test_attacks.py."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.small import convnet, images, labels_of
from tf_deepbayes.attacks import SPSA, Attack, HopSkipJump, RandomNoise, Square
from tf_deepbayes.attacks.black_box.square import patch_share
from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Tensor

ATTACKS: list[Attack] = [
    SPSA(nb_iter=20, learning_rate=0.05, spsa_samples=32),
    Square(nb_iter=200),
    Square(nb_iter=200, norm=2),
    HopSkipJump(nb_iter=3, initial_samples=20, votes=1),
    RandomNoise(nb_iter=20, corners=True),
]
NET = convnet()
X = images(20, shape=(8, 8, 1))
Y = labels_of(NET, X)
TARGET = (Y + 1) % 5
STARTS = images(400, seed=1, shape=(8, 8, 1)).round()


def counted(traces: list) -> Callable[[Tensor], Tensor]:
    """The network, noting each trace of it, with logits whose sizes are known when it runs only."""

    def logits_fn(x: Tensor) -> Tensor:
        traces.append(x.shape)
        return tf.compat.v1.placeholder_with_default(NET(x), [None, None])

    return logits_fn


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
class TestEveryAttack:
    def test_targeted_reaches_targets_in_a_large_ball(self, attack: Attack) -> None:
        if isinstance(attack, HopSkipJump):
            attack = dataclasses.replace(attack, starting_points=STARTS)
        targeted = dataclasses.replace(attack, targeted=True)
        adversarial = targeted(NET, X, TARGET, 8.0 if getattr(attack, "norm", 0) == 2 else 0.9)
        chance = np.mean(labels_of(NET, X) == TARGET)
        reached = np.mean(labels_of(NET, adversarial) == TARGET)
        # Noise is no attack: it only has to do better than nothing.
        assert reached > (chance if isinstance(attack, RandomNoise) else 0.8)

    def test_seeds_reproduce(self, attack: Attack) -> None:
        again = dataclasses.replace(attack)
        other = dataclasses.replace(attack, seed=1)  # type: ignore[call-arg]
        first = attack(NET, X, Y, 0.2)
        np.testing.assert_array_equal(first, again(NET, X, Y, 0.2))
        assert np.abs(first - other(NET, X, Y, 0.2)).max() > 1e-3

    def test_other_batches_and_numbers_need_no_new_trace(self, attack: Attack) -> None:
        traces: list = []
        logits_fn = counted(traces)
        small = dataclasses.replace(attack, batch_size=6, nb_iter=2)  # type: ignore[call-arg]
        small(logits_fn, X[:6], Y[:6], 0.2)
        known = len(traces)
        more = dataclasses.replace(small, nb_iter=3, seed=2)  # type: ignore[call-arg]
        more(logits_fn, X, Y, 0.1)  # three batches of 6 and one of 2
        assert len(traces) == known


@pytest.mark.parametrize(
    "attack",
    [SPSA(), SPSA(spsa_samples=2000, stop_above=5.0), HopSkipJump(votes=1)],
    ids=repr,
)
def test_samples_go_to_the_classifier_in_calls_of_at_most_a_batch(attack: Attack) -> None:
    traces: list = []
    small = dataclasses.replace(attack, batch_size=7, nb_iter=1)  # type: ignore[call-arg]
    small(counted(traces), X[:3], Y[:3], 0.2)
    assert max(shape[0] for shape in traces) == 6  # two samples of three images


class TestSquare:
    def test_the_patch_share_follows_the_published_schedule(self) -> None:
        queries = [0, 10, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001, 9999]
        shares = [float(patch_share(i, 10_000, tf.constant(0.8))) for i in queries]
        halvings = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
        np.testing.assert_allclose(shares, 0.8 / 2.0 ** np.array(halvings))

    def test_every_value_is_at_a_corner_of_the_ball_or_the_pixel_range(self) -> None:
        adversarial = Square(nb_iter=50)(NET, X, Y, 0.1)
        corners = (np.clip(X - 0.1, 0, 1), np.clip(X + 0.1, 0, 1))
        nearest = np.minimum(*(np.abs(adversarial - corner) for corner in corners))
        assert nearest.max() < 1e-6

    def test_the_l2_perturbation_uses_the_whole_norm_where_no_pixel_saturates(self) -> None:
        x = 0.25 + 0.5 * X
        adversarial = Square(nb_iter=50, norm=2)(NET, x, Y, 0.3)
        size = metrics.perturbation_norms(x, adversarial)["l2"]
        np.testing.assert_allclose(size, 0.3, rtol=1e-4)

    @pytest.mark.parametrize("norm", [np.inf, 2])
    @pytest.mark.parametrize("shape", [(8, 12, 3), (3, 2, 1), (1, 1, 1)])
    def test_images_of_any_shape(self, shape: tuple[int, ...], norm: float) -> None:
        x = images(3, shape=shape)

        def logits_fn(image: Tensor) -> Tensor:
            total = tf.reduce_mean(image, axis=[1, 2, 3])
            return tf.stack([total, -total], axis=1)

        adversarial = Square(nb_iter=30, norm=norm)(logits_fn, x, np.zeros(3, int), 0.1)
        assert np.isfinite(adversarial).all()
        assert (adversarial.mean((1, 2, 3)) <= x.mean((1, 2, 3)) + 1e-6).all()

    def test_more_queries_raise_the_loss(self) -> None:
        def loss(nb_iter: int) -> float:
            logits = NET(Square(nb_iter=nb_iter)(NET, X, Y, 0.1)).numpy()
            others = np.where(np.eye(5)[Y] == 1, -np.inf, logits).max(1)
            return float(np.mean(others - logits[np.arange(20), Y]))

        assert loss(1) < loss(20) < loss(200)


def test_square_attack_does_not_hold_on_to_luck_against_a_classifier_that_samples() -> None:
    """The noise of one draw is as large as all that the ball allows, a mean of 0.5 ± 0.1."""
    x = np.full((60, 8, 8, 1), 0.5, np.float32) + 1e-3 * images(60, shape=(8, 8, 1))

    def reached(rescore: int) -> float:
        noise = tf.random.Generator.from_seed(0)

        def logits_fn(x: Tensor) -> Tensor:
            lead = tf.reduce_mean(x, axis=[1, 2, 3]) + noise.normal(tf.shape(x)[:1], stddev=0.1)
            return tf.stack([lead, tf.zeros_like(lead)], axis=1)

        adversarial = Square(nb_iter=1000, rescore=rescore)(logits_fn, x, np.zeros(60, int), 0.1)
        return float(0.5 - adversarial.mean())

    remembered, rescored = reached(0), reached(3)
    assert remembered > 0
    assert rescored > 1.25 * remembered


def test_rescoring_changes_nothing_for_a_deterministic_classifier() -> None:
    once, twice = (Square(nb_iter=50, rescore=n)(NET, X, Y, 0.1) for n in (0, 1))
    np.testing.assert_array_equal(once, twice)


class TestBoundary:
    def test_it_sees_the_predicted_class_only(self) -> None:
        attack = HopSkipJump(nb_iter=2, initial_samples=20, votes=1)
        hard = attack(lambda x: tf.one_hot(tf.argmax(NET(x), axis=1), 5), X, Y, 0.3)
        np.testing.assert_array_equal(hard, attack(NET, X, Y, 0.3))

    def test_the_walk_comes_close_to_the_nearest_point_of_a_plane(self) -> None:
        """The boundary is the plane w·x = 0.4 |w|₁; the distance to it is known exactly."""
        weights = np.random.default_rng(1).uniform(0.5, 1.5, size=(64, 1)).astype(np.float32)
        level = 0.4 * weights.sum()

        def logits_fn(x: Tensor) -> Tensor:
            above = tf.reshape(x, [-1, 64]) @ weights - level
            return tf.concat([above, -above], axis=1)

        x = images(10, shape=(8, 8, 1)) * 0.2 + 0.4
        above = (x.reshape(-1, 64) @ weights - level)[:, 0]
        for norm, dual in ((2, np.sqrt(np.sum(weights**2))), (np.inf, np.sum(np.abs(weights)))):
            attack = HopSkipJump(nb_iter=12, initial_samples=200, norm=norm, votes=1)
            adversarial = attack(logits_fn, x, np.zeros(10, int), 8.0)
            name = "l2" if norm == 2 else "linf"
            size = metrics.perturbation_norms(x, adversarial)[name]
            assert (size >= above / dual - 1e-4).all()
            assert np.median(size * dual / above) < 1.15

    def test_images_misclassified_already_come_back(self) -> None:
        wrong = np.where(np.arange(20) < 5, TARGET, Y)
        adversarial = HopSkipJump(nb_iter=1, initial_samples=10, votes=1)(NET, X, wrong, 0.3)
        np.testing.assert_array_equal(adversarial[:5], X[:5])

    def test_without_a_start_x_comes_back_and_it_is_said(self) -> None:
        def always_zero(x: Tensor) -> Tensor:
            return tf.one_hot(tf.zeros(tf.shape(x)[:1], tf.int32), 5)

        attack = HopSkipJump(nb_iter=1, initial_samples=10, votes=1)
        with pytest.warns(UserWarning, match="no starting point .* 100.0% of a batch"):
            adversarial = attack(always_zero, X, np.zeros(20, int), 0.3)
        np.testing.assert_array_equal(adversarial, X)

    def test_against_noise_it_uses_the_ball_instead_of_stopping_at_the_boundary(self) -> None:
        """There a classifier that samples errs half of the time."""
        tf.random.set_seed(0)

        def logits_fn(x: Tensor) -> Tensor:
            logits = NET(x)
            return logits + 0.005 * tf.random.normal(tf.shape(logits))

        adversarial = HopSkipJump(nb_iter=3, initial_samples=50)(logits_fn, X, Y, 0.5)
        fresh = [metrics.predict(logits_fn, adversarial).argmax(1) != Y for _ in range(20)]
        assert np.mean(fresh) > 0.9


def test_noise_is_uniform_in_its_ball() -> None:
    x = np.full((200, 8, 8, 1), 0.5, np.float32) + 0.001 * images(200, shape=(8, 8, 1))
    y = np.zeros(200, int)
    noise = RandomNoise()(NET, x, y, 0.2) - x
    assert abs(noise.mean()) < 0.005 and noise.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.02)
    corners = RandomNoise(corners=True)(NET, x, y, 0.2) - x
    np.testing.assert_allclose(np.abs(corners), 0.2, atol=1e-6)
    inside = RandomNoise(norm=2)(NET, x, y, 0.2) - x
    share = (np.sqrt(np.square(inside).sum((1, 2, 3))) / 0.2) ** 64  # uniform in [0, 1]
    assert share.mean() == pytest.approx(0.5, abs=3 / np.sqrt(12 * 200))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SPSA, {"spsa_samples": 3}, "spsa_samples must be even, they are pairs; got 3"),
        (SPSA, {"stop_above": float("nan")}, "stop_above must be a finite number, got nan"),
        (SPSA, {"delta": 0.0}, "delta must be a finite number above 0, got 0.0"),
        (SPSA, {"loss": "mse"}, "unknown loss 'mse'"),
        (Square, {"p_init": 0.0}, "p_init must be a share above 0 and up to 1, got 0.0"),
        (Square, {"rescore": -1}, "rescore must be a whole number of at least 0, got -1"),
        (Square, {"norm": 1}, "norm must be inf or 2, got 1"),
        (HopSkipJump, {"votes": 0}, "votes must be a whole number of at least 1, got 0"),
        (HopSkipJump, {"starting_points": X * 255}, "divide bytes by 255"),
        (RandomNoise, {"corners": True, "norm": 2}, "corners need the norm inf, got 2"),
    ],
)
def test_bad_settings_are_refused(kind: type[Attack], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)


def test_starting_points_have_to_fit_the_images() -> None:
    attack = HopSkipJump(starting_points=images(2))
    with pytest.raises(ValueError, match=r"of shape \[8, 8, 1\], got \[28, 28, 1\]"):
        attack(NET, X, Y, 0.1)
