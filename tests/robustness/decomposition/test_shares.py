"""The parts of a robust accuracy, by hand."""

import numpy as np
import pytest

from tf_deepbayes.robustness.decomposition.shares import World, decomposition, parts_of, verdict


def always(name: str, wrong: list[int]) -> World:
    """The same in every draw."""
    return World.of(name, np.array([wrong] * 4, bool))


def test_each_image_is_in_the_part_of_the_first_world_that_breaks_it() -> None:
    worlds = [
        always("clean error", [1, 0, 0, 0, 0]),
        always("broken", [0, 1, 0, 0, 0]),
        always("adaptive", [1, 1, 1, 0, 0]),
    ]
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    np.testing.assert_array_equal(parts_of(worlds), expected)


def test_a_share_of_the_draws_is_a_share_of_the_image() -> None:
    clean = World("noise alone", np.array([0.2]), np.array([0.3]))
    attacked = World("broken", np.array([0.5]), np.array([0.6]))
    weaker = World("adaptive", np.array([0.4]), np.array([0.9]))
    np.testing.assert_allclose(parts_of([clean, attacked, weaker]), [[0.3, 0.3, 0.0, 0.4]])


def test_luck_in_the_draws_that_choose_gains_nothing() -> None:
    """Ten attacks that do nothing: an image is wrong in a third of all draws, before and after."""
    random = np.random.default_rng(0)
    names = [f"world {i}" for i in range(10)]
    worlds = [World.of(name, random.random((20, 4000)) < 1 / 3) for name in names]
    parts = parts_of(worlds).mean(0)
    assert parts[0] == pytest.approx(1 / 3, abs=0.01)
    assert np.abs(parts[1:-1]).max() < 0.01
    assert parts.sum() == pytest.approx(1.0)


def test_intervals_and_the_verdict() -> None:
    labels = np.arange(200) % 4
    worlds = [
        World.of("clean error", np.zeros([1, 200], bool)),
        World.of("broken", (np.arange(200) < 60)[None]),
        World.of("adaptive", (np.arange(200) < 160)[None]),
    ]
    found = decomposition(worlds, labels, labels)
    assert found["verdict"] == "masked" and found["reported"] == pytest.approx(0.7)
    low, high = found["parts"]["broken"]["interval"]
    assert 0.23 < low < 0.27 and 0.33 < high < 0.37
    assert found["parts"]["clean error"]["interval"] == (0.0, pytest.approx(0.015, abs=0.006))
    constant = np.zeros_like(labels)
    assert decomposition(worlds, labels, constant)["verdict"] == "none"
    assert verdict({"margin": 0.05, "adaptive": 0.04}, labels, labels) == "none"
    assert verdict({"margin": 0.3, "noise alone": 0.2, "known noise": 0.2}, labels, labels) == (
        "noise"
    )
    assert verdict({"margin": 0.5, "noise alone": 0.2}, labels, labels) == "margin"
