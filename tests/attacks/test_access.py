"""Any classifier: what attacks may use of it, and what is refused."""

import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.small import classifier, convnet, images, labels_of
from tf_deepbayes.attacks import FGSM, PGD, Superwhite
from tf_deepbayes.attacks.access import LazyLogits, ModelAccess, check_classifier
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.evaluation.scoring import EvaluationSet

X = images(6, shape=(8, 8, 1))


def softmax_net(policy: str = "float32") -> tuple[keras.Model, keras.Model]:
    """The same network with and without a softmax at its end."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(5, dtype=policy)]
    logits = keras.Sequential(layers)
    probabilities = keras.Sequential([*layers[:2], keras.layers.Dense(5, "softmax", dtype=policy)])
    probabilities.layers[-1].set_weights(logits.layers[-1].get_weights())
    return logits, probabilities


def test_a_function_is_itself_and_others_are_the_same_at_every_call() -> None:
    function: Callable[[Any], Any] = lambda x: x  # noqa: E731
    assert ModelAccess.of(function).logits is function
    for model in (convnet(), classifier("GBY")):
        assert ModelAccess.of(model) is ModelAccess.of(model)
    lazy = ModelAccess.of(classifier("GBY"))
    assert isinstance(lazy.logits, LazyLogits) and lazy.log_weights and lazy.features
    given = ModelAccess(function)
    assert ModelAccess.of(given) is given


def test_a_softmax_is_attacked_at_the_logits_in_front_of_it() -> None:
    logits, probabilities = softmax_net()
    found = ModelAccess.of(probabilities, "probabilities").logits(tf.constant(X))
    np.testing.assert_allclose(found, logits(X), rtol=1e-5)
    by_function = ModelAccess.of(lambda x: probabilities(x), "probabilities").logits(tf.constant(X))
    np.testing.assert_allclose(by_function, np.log(probabilities(X)), rtol=1e-5)


@pytest.mark.parametrize("policy", ["float64", "mixed_float16"])
def test_probabilities_of_any_precision_are_attacked_and_evaluated(policy: str) -> None:
    _, probabilities = softmax_net(policy)
    check_classifier(probabilities, X, 5, "probabilities")
    y = labels_of(probabilities, X)
    for given in (probabilities, lambda x: probabilities(x)):
        access = ModelAccess.of(given, "probabilities")
        assert FGSM()(access, X, y, 0.1).shape == X.shape
        assert EvaluationSet.of(access.logits, X, y).clean_logits.dtype == np.float32


def test_dropout_is_off_in_a_keras_model() -> None:
    model = keras.Sequential([convnet(), keras.layers.Dropout(0.5)])
    access = ModelAccess.of(model)
    np.testing.assert_array_equal(access.logits(X), access.logits(X))


def test_attacks_take_what_people_have() -> None:
    net = convnet()
    y = labels_of(net, X)
    expected = PGD(nb_iter=2)(functools.partial(net, training=False), X, y, 0.1)
    np.testing.assert_array_equal(PGD(nb_iter=2)(net, X, y, 0.1), expected)
    model, x = classifier("GBY"), images(3)
    assert Superwhite(nb_iter=1)(model, x, np.zeros(3, int), 0.1).shape == x.shape
    with pytest.raises(InputError, match="needs the classifier's log_weights"):
        Superwhite(nb_iter=1)(net, X, y, 0.1)


def test_a_model_that_was_attacked_is_freed() -> None:
    net = convnet()
    FGSM()(net, X, np.zeros(6, int), 0.1)
    reference = weakref.ref(net)
    del net
    gc.collect()
    assert reference() is None


REFUSED: dict[str, tuple[Callable[[], Any], dict, str]] = {
    "softmax": (lambda: softmax_net()[1], {}, 'pass outputs="probabilities"'),
    "softmax_function": (lambda: lambda x: tf.nn.softmax(convnet()(x)), {}, "sum to 1"),
    "logits": (convnet, {"outputs": "probabilities"}, 'pass outputs="logits"'),
    "rank": (lambda: lambda x: tf.zeros([6, 2, 5]), {}, r"must return \[B, C\]"),
    "nan": (lambda: lambda x: tf.fill([6, 5], np.nan), {}, "not finite"),
    "classes": (convnet, {"num_classes": 7}, "5 outputs and the labels 7 classes"),
    "shape": (lambda: classifier_of((12, 12, 1)), {}, "the classifier takes x"),
    "no_classifier": (lambda: 3, {}, "expected a classifier"),
    "outputs": (convnet, {"outputs": "scores"}, "outputs must be one of"),
}


def classifier_of(shape: tuple[int, int, int]) -> keras.Model:
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(5)]
    return keras.Sequential(layers)


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_answer_as_said_is_refused(name: str) -> None:
    make, options, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as caught:
        check_classifier(make(), X, options.pop("num_classes", 5), **options)
    assert "\n" not in str(caught.value)


class Scaled:
    """A classifier whose logits are a method."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def logits_of(self, x: tf.Tensor) -> tf.Tensor:
        return self.scale * tf.reduce_mean(x, [1, 2])


def test_methods_of_two_objects_are_two_classifiers() -> None:
    one, two = (ModelAccess.of(Scaled(scale).logits_of) for scale in (1.0, 2.0))
    np.testing.assert_allclose(two.logits(X), 2.0 * one.logits(X))


def test_a_function_may_branch_on_a_tensor() -> None:
    """Python's `if` on a tensor is converted by AutoGraph, which our own code does without."""
    net = convnet()

    def by_brightness(x: Any) -> Any:
        if tf.reduce_mean(x) > 0.9:
            return -net(x)
        return net(x)

    y = labels_of(net, X)
    for attack in (FGSM(), PGD(nb_iter=3)):
        np.testing.assert_allclose(attack(by_brightness, X, y, 0.1), attack(net, X, y, 0.1))


def test_a_function_may_be_of_no_module() -> None:
    """As those that `exec` makes."""
    net = convnet()
    made: dict[str, Any] = {}
    exec("def logits(x): return net(x)", {"net": net, "__name__": None}, made)
    y = labels_of(net, X)
    np.testing.assert_allclose(FGSM()(made["logits"], X, y, 0.1), FGSM()(net, X, y, 0.1))


def test_a_subclassed_model_is_attacked() -> None:
    """It has no output shape."""
    net = convnet()

    class Wrapped(keras.Model):
        def call(self, x: Any, training: bool = False) -> Any:
            return net(x)

    y = labels_of(net, X)
    np.testing.assert_allclose(FGSM()(Wrapped(), X, y, 0.1), FGSM()(net, X, y, 0.1))
