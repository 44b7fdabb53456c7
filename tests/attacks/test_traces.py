"""Every attack is traced once, whatever the number of batches and the sizes."""

import dataclasses

import pytest
import tensorflow as tf

from tests.attacks.short_attacks import NAMES, NET, X, Y, short_attack
from tf_deepbayes.attacks import Attack
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.core.axes import LogitsFn, Tensor

# Attacks that judge their iterates are given the logits, too.
WITH_ACCESS = ("label_logits", "features")


class Traced:
    """What the attack uses of a classifier; counts how often it is traced."""

    def __init__(self, uses: str) -> None:
        self.uses, self.traces = uses, 0

    def __call__(self, x: Tensor, *labels: Tensor) -> Tensor:
        self.traces += not tf.executing_eagerly()
        logits = NET(x)
        if labels:
            return logits[None]
        return tf.transpose(logits)[None] if self.uses == "log_weights" else logits


def traces(attack: Attack, function: LogitsFn, counter: Traced, count: int, eps: float) -> int:
    before = counter.traces
    access = ModelAccess(function, function, function, function)
    attack(access if attack.uses in WITH_ACCESS else function, X[:count], Y[:count], eps)
    return counter.traces - before


@pytest.mark.filterwarnings("ignore:no starting point")
@pytest.mark.parametrize("name", NAMES)
def test_three_batches_are_traced_as_often_as_one(name: str) -> None:
    attack = short_attack(name)
    counter = Traced(attack.uses)
    assert traces(attack, counter, counter, 3, 0.1) > 0
    assert traces(attack, counter, counter, 9, 0.1) == 0
    assert traces(attack, counter, counter, 9, 0.2) == 0
    equal = dataclasses.replace(attack)
    assert traces(equal, counter, counter, 3, 0.1) == 0
