"""Gradients that are wrong, missing or noisy are told from those that are not."""

import numpy as np
import pytest
import tensorflow as tf

from tests.small import convnet, images, labels_of
from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.robustness.decomposition.gradient_audit import (
    cosine_between_draws,
    directional_derivatives,
    in_float64,
    of_noise,
    smallest_eot,
)

NET = convnet()
X = images(12, shape=(8, 8, 1))
Y = labels_of(NET, X)
GENERATOR = tf.random.Generator.from_seed(0)


def test_a_network_agrees_with_its_differences() -> None:
    plain, exact = directional_derivatives(NET, X, Y), in_float64(NET)
    assert plain["precision"] == "float32" and plain["agree"] > 0.9
    assert exact is not None and exact(tf.constant(X)).dtype == tf.float64
    np.testing.assert_allclose(exact(tf.constant(X)), NET(X), atol=1e-5)
    found = directional_derivatives(NET, X, Y, exact)
    assert found["precision"] == "float64" and found["agree"] == 1.0
    assert found["median_error"] < 1e-5
    assert in_float64(lambda x: x) is None


def test_a_gradient_that_lies_does_not_agree() -> None:
    @tf.custom_gradient
    def lies(x: Tensor) -> tuple:
        return tf.identity(x), lambda upstream: 3.0 * upstream

    found = directional_derivatives(lambda x: NET(lies(x)), X, Y)
    assert found["agree"] == 0.0 and found["median_error"] == pytest.approx(2 / 3, abs=0.01)
    none = directional_derivatives(lambda x: NET(tf.stop_gradient(x) + 0.0 * x), X, Y)
    assert none["agree"] is None


def test_the_cosine_between_draws_is_that_of_its_mean_and_noise() -> None:
    """A gradient of mean 1 and noise of variance 1 in each of 64 pixels: ½."""

    def logits_fn(x: Tensor) -> Tensor:
        weights = 1.0 + GENERATOR.normal([x.shape[0], 8, 8, 1])
        return tf.stack([tf.zeros(x.shape[0]), tf.reduce_sum(weights * x, [1, 2, 3])], 1)

    labels = np.zeros(12, int)
    assert cosine_between_draws(logits_fn, X, labels, 30).mean() == pytest.approx(0.5, abs=0.05)
    (row,) = of_noise({10: logits_fn}, X, labels, 30)
    assert row["K"] == 10 and 7 <= row["smallest_eot"] <= 11
    np.testing.assert_allclose(cosine_between_draws(NET, X, Y, 3), 1.0, atol=1e-5)
    with pytest.raises(InputError, match="gradients must be a whole number of at least 2"):
        of_noise({1: NET}, X, Y, 1)


def test_averages_of_so_many_draws_have_the_cosine() -> None:
    for cosine in (0.01, 0.3, 0.5, 0.89):
        draws = smallest_eot(cosine)
        averaged = lambda n, c=cosine: n * c / (1.0 + (n - 1.0) * c)  # noqa: E731
        assert averaged(draws) >= 0.9 - 1e-9 > averaged(draws - 1.0)
    assert smallest_eot(0.95) == 1.0 and smallest_eot(0.0) == np.inf == smallest_eot(np.nan)
