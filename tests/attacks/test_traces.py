"""Every attack is traced once, whatever the number of batches and the sizes."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.small import convnet, images, labels_of
from tf_deepbayes.attacks import ATTACKS, Attack, GuideImages
from tf_deepbayes.attacks.white_box.bounded import Bounded
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.detection import Logit

NET = convnet()
X = images(9, shape=(8, 8, 1))
Y = labels_of(NET, X)
GUIDES = GuideImages(images(20, seed=1, shape=(8, 8, 1)), np.arange(20) % 5)
FITTED = Logit().fit(NET(GUIDES.images).numpy(), GUIDES.labels, 0.3)
# What makes an attack short, or complete.
OPTIONS: dict[str, dict[str, Any]] = {
    "superwhite": {"detector": FITTED, "snapshot": True, "nb_iter": 2},
    "matching": {"guides": GUIDES, "nb_iter": 2},
    "feature_matching": {"guides": GUIDES, "nb_iter": 2},
    "spsa": {"nb_iter": 2, "spsa_samples": 4},
    "boundary": {"nb_iter": 1, "initial_samples": 4, "votes": 1},
    "fgsm": {},
}


class Traced:
    """What the attack uses of a classifier; counts how often it is traced."""

    def __init__(self, uses: str) -> None:
        self.uses, self.traces = uses, 0

    def __call__(self, x: Tensor) -> Tensor:
        self.traces += not tf.executing_eagerly()
        logits = NET(x)
        return tf.transpose(logits)[None] if self.uses == "log_weights" else logits


def attack_of(name: str) -> Attack:
    if name == "bounded":
        inside = ATTACKS["cw"](nb_iter=2, batch_size=3)  # type: ignore[call-arg]
        return Bounded(attack=inside, batch_size=3)
    return ATTACKS[name](batch_size=3, **OPTIONS.get(name, {"nb_iter": 2}))


def traces(attack: Attack, function: LogitsFn, counter: Traced, count: int, eps: float) -> int:
    before = counter.traces
    attack(function, X[:count], Y[:count], eps)
    return counter.traces - before


@pytest.mark.filterwarnings("ignore:no starting point")
@pytest.mark.parametrize("name", [*ATTACKS, "bounded"])
def test_three_batches_are_traced_as_often_as_one(name: str) -> None:
    attack = attack_of(name)
    counter = Traced(attack.uses)
    assert traces(attack, counter, counter, 3, 0.1) > 0
    assert traces(attack, counter, counter, 9, 0.1) == 0
    assert traces(attack, counter, counter, 9, 0.2) == 0
    equal = dataclasses.replace(attack)
    assert traces(equal, counter, counter, 3, 0.1) == 0
