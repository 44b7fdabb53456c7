"""Small classifiers for the tests of the evaluation, each evaluated once."""

import dataclasses
import functools
from typing import Any

import tensorflow as tf

from tests.small import convnet, images, labels_of
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.evaluation.runner import AttackResult
from tf_deepbayes.robustness.budgets import Budget
from tf_deepbayes.robustness.evaluate import evaluate
from tf_deepbayes.robustness.suite import VICTIM, Defence, EvaluationSettings

NET = convnet()
SCALED = convnet(scale=300.0)
X = images(40, shape=(8, 8, 1))
Y = labels_of(NET, X)
SMALL = Budget(
    nb_iter=8,
    restarts=1,
    momentum_iter=0,
    cw_iter=15,
    square_iter=60,
    noise_iter=10,
    snapshot=False,
    pool_size=0,
    draws=2,
)
PLAN = EvaluationSettings(SMALL, eps=0.05, batch_size=20, check_images=40)
GENERATOR = tf.random.Generator.from_seed(0)


def quantised(x: Tensor) -> Tensor:
    """The network behind a step function: its gradient is zero everywhere."""
    return NET(tf.stop_gradient(tf.round(4.0 * x) / 4.0) + 0.0 * x)


def lottery(x: Tensor) -> Tensor:
    """Logits that have nothing to do with the image."""
    return 3.0 * GENERATOR.normal([x.shape[0], 5]) + 0.0 * NET(x)


def defence_of(logits_fn: LogitsFn, plan: EvaluationSettings = PLAN, **options: Any) -> Defence:
    """The classifier as the victim, attacked on the test images."""
    defence = Defence.of(plan, logits_fn, {VICTIM: ModelAccess(logits_fn)}, X, Y)
    return dataclasses.replace(defence, **options)


@functools.cache
def evaluated(logits_fn: LogitsFn) -> tuple[dict[str, Any], AttackResult]:
    """One quick evaluation of each classifier for all tests of a process."""
    GENERATOR.reset_from_seed(0)
    return evaluate(PLAN, defence_of(logits_fn))


def verdicts(logits_fn: LogitsFn) -> dict[str, set[str]]:
    """{check: its verdicts}, a set because a ladder has two rungs."""
    found: dict[str, set[str]] = {}
    for check in evaluated(logits_fn)[0]["checks"]:
        found.setdefault(check["name"], set()).add(check["verdict"])
    return found
