"""One and five training steps against the published optimizer on the same batch and noise."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import golden
from tf_deepbayes.legacy.variables import model_from_params, published_variables
from tf_deepbayes.training.steps.adam import PublishedAdam
from tf_deepbayes.training.trainers import BoundTrainer

FILES = [
    *(f"train_mnist_small_{letter}" for letter in "ABDFG"),
    "train_mnist_small_B_K5_beta0.7",
    "train_mnist_small_D_K5_beta0.7",
    "train_mnist_small_B_l2_logistic",
    "train_cifar_small_A",
    "train_cifar_small_D",
    "train_fusion_small_E",
    "train_fusion_small_G",
]


@pytest.mark.parametrize("name", FILES)
def test_training_steps_equal_the_published_ones(name: str) -> None:
    data = golden(name)
    model = model_from_params(data.group("param"), data.meta["type"], data.meta["ll"])
    weights = published_variables(model)
    trainer = BoundTrainer(model, data.meta["K"], data.meta["beta"])
    trainer.compile(PublishedAdam(data.meta["lr"]))
    x, y = tf.constant(data["x"]), tf.constant(data["y_onehot"])
    noise = tf.constant(data["eps/train"][:, None])
    pixels = model.architecture.num_pixels * model.likelihood.offset if model.has_p_x else 0.0
    offset = model.published_offset - (1.0 - data.meta["beta"]) * pixels
    for step, bound in enumerate(data["bound_per_step"]):
        loss, gradients = trainer.update(x, y, noise)
        np.testing.assert_allclose(-loss - offset, bound, rtol=1e-5)
        if step == 0:
            by_id = {id(v): g for v, g in zip(model.trainable_variables, gradients, strict=True)}
            for published, expected in data.group("grad").items():
                found = by_id[id(weights[published])]
                tolerance = 1e-4 * np.abs(expected).max() + 1e-6
                np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
            assert_parameters(weights, data.group("adam1"), data.group("grad"))
    assert_parameters(weights, data.group("adam5"), data.group("grad"))


def assert_parameters(
    weights: dict[str, tf.Variable],
    expected: dict[str, np.ndarray],
    gradients: dict[str, np.ndarray],
) -> None:
    """Adam's first steps have the sign of the gradient: entries near zero go either way."""
    assert set(weights) == set(expected)
    for name, value in expected.items():
        clear = np.abs(gradients[name]) > 1e-4 * np.abs(gradients[name]).max() + 1e-6
        np.testing.assert_allclose(weights[name].numpy()[clear], value[clear], rtol=0, atol=2e-5)
