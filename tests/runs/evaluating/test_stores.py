"""Finished attacks of one result, and those that all results share."""

import pathlib
import types
from typing import Any

import numpy as np

from tf_deepbayes.attacks import PGD
from tf_deepbayes.attacks.base import AttackedBatch
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.robustness.suite import SuiteAttack
from tf_deepbayes.runs.evaluating.stores import LASTING, Stores, lasting

X = np.zeros([2, 4, 4, 1], np.float32)


def component(steps: int, name: str) -> SuiteAttack:
    return SuiteAttack(name, PGD(nb_iter=steps), 0.1)


def test_a_longer_curve_finds_what_a_shorter_one_left(tmp_path: pathlib.Path) -> None:
    """By the settings of the attack, whatever it is called."""
    stores = Stores(tmp_path, {"weights": "abc"}, seed=0, shared=True)
    stores(component(5, "curve_steps_5")).put(0, X, AttackedBatch(X + 0.1))
    found = stores(component(5, "pgd_log_odds_0")).get(0, X)
    assert found is not None and found[0].images.max() > 0.0
    stores(component(5, "check")).put(0, X[:1], AttackedBatch(X[:1] + 0.2))  # of fewer images
    again = stores(component(5, "check"))
    assert again.get(0, X) is not None and again.get(0, X[:1]) is not None
    assert stores(component(6, "curve_steps_5")).get(0, X) is None
    assert stores(component(5, "curve_steps_5")).get(0, X + 0.5) is None
    for weights, seed in (("abd", 0), ("abc", 1)):
        other = Stores(tmp_path, {"weights": weights}, seed, shared=True)
        assert other(component(5, "curve_steps_5")).get(0, X) is None


def test_a_result_of_its_own_has_its_own(tmp_path: pathlib.Path) -> None:
    stores = Stores(tmp_path, {}, seed=0, resume=True)
    stores(component(5, "one")).put(0, X, AttackedBatch(X))
    assert stores(component(5, "one")).get(0, X) is not None
    assert stores(component(5, "other")).get(0, X) is None


def test_batches_depend_on_precision_and_on_how_the_runs_sample() -> None:
    """Said only where it is not the default: the batches of earlier evaluations stay valid."""
    settings = dict.fromkeys(LASTING, "same") | {"seed": 0}

    def run(seed: int = 0, num_samples: int = 10) -> Any:
        return types.SimpleNamespace(seed=seed, sampling=Sampling(num_samples, seed=seed))

    default = lasting(settings, {}, run(), run())
    assert default == dict.fromkeys(LASTING, "same") == lasting(settings, {}, run(), None)
    others = [
        lasting(settings, {"mixed_precision": True}, run(), None),
        lasting(settings, {}, run(seed=1), None),
        lasting(settings, {}, run(), run(num_samples=50)),
    ]
    assert all(one != default for one in others)
