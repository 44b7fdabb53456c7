"""Every attack on one image, on none, and with settings that it cannot use."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.attacks.short_attacks import NAMES, NET, X, Y, short_attack
from tests.small import classifier, convnet, images
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
    Superwhite,
)
from tf_deepbayes.attacks.access import LogitsFn, ModelAccess
from tf_deepbayes.attacks.gradient_checks import zero_gradients
from tf_deepbayes.attacks.white_box.bounded import Bounded
from tf_deepbayes.core.axes import Array, Tensor
from tf_deepbayes.core.errors import InputError

NO_STARTS = pytest.mark.filterwarnings("ignore:no starting point")


def seen_by(attack: Attack, network: LogitsFn = NET) -> LogitsFn | ModelAccess:
    """What the attack uses of the network, with an unknown number of rows, as of a SavedModel."""

    @functools.partial(tf.function, input_signature=[tf.TensorSpec([None, 8, 8, 1])])
    def function(x: Tensor) -> Tensor:
        logits = network(x)
        return tf.transpose(logits)[None] if attack.uses == "log_weights" else logits

    if attack.uses in ("logits", "log_weights"):
        return function
    # The head p(y|z): the logits of one draw, whatever the label that z is drawn for.
    shapes = [tf.TensorSpec([None, 8, 8, 1]), tf.TensorSpec([None], tf.int64)]
    head = tf.function(lambda x, y: network(x)[None], input_signature=shapes)
    return ModelAccess(function, features=function, label_logits=head)


@NO_STARTS
@pytest.mark.parametrize("name", NAMES)
def test_one_image_is_attacked_as_among_others(name: str) -> None:
    attack = short_attack(name)
    function = seen_by(attack)
    together, alone = (attack(function, X[:n], Y[:n], 0.1) for n in (3, 1))
    np.testing.assert_allclose(alone, together[:1], atol=1e-5)
    one_by_one = short_attack(name, batch_size=1)(function, X[:3], Y[:3], 0.1)
    np.testing.assert_allclose(one_by_one, together, atol=1e-5)


OF_DEEP_BAYES: list[Attack] = [
    PGD(nb_iter=2),
    PGD(nb_iter=2, lazy_classes=2),
    PGD(nb_iter=2, early_stop=True, check_every=1),
    CarliniWagnerL2(nb_iter=2),
    CarliniWagnerL2(nb_iter=2, lazy_classes=2),
]


@pytest.mark.parametrize("attack", OF_DEEP_BAYES, ids=repr)
def test_one_image_of_a_deep_bayes_classifier_is_attacked(attack: Attack) -> None:
    x = images(1)
    found = attack(ModelAccess.of(classifier("GBY")), x, [0], 0.1)
    assert found.shape == x.shape and np.isfinite(found).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_images_are_attacked_at_once(name: str) -> None:
    attack = short_attack(name)
    assert attack(seen_by(attack), X[:0], [], 0.1).shape == (0, 8, 8, 1)


def test_no_images_have_no_zero_gradients() -> None:
    assert zero_gradients(NET, X[:0], Y[:0]).shape == (0,)


@NO_STARTS
@pytest.mark.parametrize("policy", ["float64", "mixed_float16"])
@pytest.mark.parametrize("name", NAMES)
def test_networks_of_other_precision_are_attacked(name: str, policy: str) -> None:
    attack, network = short_attack(name), convnet(policy=policy)
    network.set_weights(NET.get_weights())
    found = attack(seen_by(attack, network), X[:3], Y[:3], 0.1)
    assert found.dtype == np.float32
    if policy == "float64" and not isinstance(attack, HopSkipJump):
        same = attack(seen_by(attack), X[:3], Y[:3], 0.1)
        assert np.mean(np.abs(found - same) < 1e-4) > 0.9


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "batch_size 0": (lambda: PGD(batch_size=0), "batch_size must be a whole number of at least 1"),
    "batch_size 1.5": (lambda: FGSM(batch_size=1.5), "got 1.5"),  # type: ignore[arg-type]
    "targeted": (lambda: FGSM(targeted="no"), "True or False, got 'no'"),  # type: ignore[arg-type]
    "norm": (lambda: FGSM(norm=3), "norm must be inf or 2, got 3"),
    "norms": (lambda: PGD(norm=X), "norm must be inf or 2, got array"),  # type: ignore[arg-type]
    "steps": (lambda: PGD(nb_iter=2.5), "nb_iter must be a whole number"),  # type: ignore[arg-type]
    "seed": (lambda: Square(seed=-1), "seed must be a whole number of at least 0"),
    "eps_iter": (lambda: PGD(eps_iter="1"), "eps_iter must be a finite number, got '1'"),  # type: ignore[arg-type]
    "decay": (lambda: MIM(decay_factor=np.nan), "decay_factor must be a finite number"),
    "confidence": (lambda: CarliniWagnerL2(confidence=np.nan), "confidence must be a finite"),
    "rate": (lambda: SPSA(learning_rate=None), "learning_rate must be a finite"),  # type: ignore[arg-type]
    "share": (lambda: Square(p_init=2), "p_init must be a share"),  # type: ignore[arg-type]
    "rescore": (lambda: RandomNoise(rescore=-1), "rescore must be a whole number of at least 0"),
    "votes": (lambda: HopSkipJump(votes=0), "votes must be a whole number of at least 1"),
    "lambda": (lambda: Superwhite(detection_lambda=np.inf), "detection_lambda must be a finite"),
    "size": (lambda: Bounded(size=-1.0), "size must be a finite number of at least 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_settings_are_checked_when_an_attack_is_made(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_whole_numbers_of_any_kind_are_the_same_setting() -> None:
    given: list[Any] = [2.0, np.int64(2), np.float32(2)]
    for count in given:
        attack = PGD(nb_iter=count, eot=count, batch_size=count)
        assert repr(attack) == repr(PGD(nb_iter=2, eot=2, batch_size=2))
    np.testing.assert_array_equal(attack(NET, X, Y, 0.1), PGD(nb_iter=2, eot=2)(NET, X, Y, 0.1))


@pytest.mark.parametrize("eps", [[0.1, 0.2], None, "0.1", np.full(3, 0.1), np.full(500, 0.1), True])
def test_a_size_that_is_no_number_is_refused(eps: Any) -> None:
    with pytest.raises(
        InputError, match="eps must be a finite number of at least 0, got"
    ) as caught:
        FGSM()(NET, X, Y, eps)
    assert len(str(caught.value)) < 120 and "\n" not in str(caught.value)


def test_a_size_is_any_single_number() -> None:
    expected: Array = FGSM()(NET, X, Y, 0.25)
    sizes: list[Any] = [np.float32(0.25), np.array(0.25), tf.constant(0.25)]
    for eps in sizes:
        np.testing.assert_array_equal(FGSM()(NET, X, Y, eps), expected)


FUNCTIONS: dict[str, tuple[Any, str]] = {
    "predict": (NET.predict, "expected a classifier, got the predict of a Keras model"),
    "inside": (lambda x: NET.predict(x, verbose=0), "leaves TensorFlow's graph"),
    "numpy": (lambda x: NET(x).numpy(), "leaves TensorFlow's graph"),
    "array": (lambda x: np.zeros([9, 5]), "must return a tensor, got ndarray"),
}


@pytest.mark.filterwarnings("ignore:AutoGraph could not")
@pytest.mark.parametrize("attack", [FGSM(), HopSkipJump(nb_iter=1, votes=1)], ids=repr)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_without_a_gradient_are_refused(name: str, attack: Attack) -> None:
    function, message = FUNCTIONS[name]
    with pytest.raises(InputError, match=message) as caught:
        attack(function, X, Y, 0.1)
    assert "give the Keras model itself" in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_refused_while_tracing_is_said_in_one_line() -> None:
    with pytest.raises(InputError) as caught:
        PGD(nb_iter=1, loss="dlr")(lambda x: NET(x)[:, :2], X, Y % 2, 0.1)
    expected = "the loss dlr needs logits of at least 3 classes, got 2; use margin"
    assert str(caught.value) == expected
