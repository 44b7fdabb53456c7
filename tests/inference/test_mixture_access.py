"""The mixture as others see it: fixed draws, a served model, attacks."""

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.exported import write_run
from tests.rounding import assert_close
from tests.small import VECTORS, classifier, images
from tf_deepbayes.attacks.white_box.superwhite import Superwhite
from tf_deepbayes.core.axes import logits_of
from tf_deepbayes.export.signatures import Signatures
from tf_deepbayes.inference.noise import SCHEMES
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.runs.run import Run

MIXTURES = [name for name, scheme in SCHEMES.items() if scheme.mixture]
C = VECTORS.num_classes


@pytest.mark.parametrize("scheme", MIXTURES)
def test_fixed_draws_and_a_served_model(scheme: str) -> None:
    model, x = classifier("GBY"), images(3)
    fixed = model.log_weights(x, mode="fixed", num_samples=4, scheme=scheme)
    assert fixed.shape == (4 * C, C, 3)
    np.testing.assert_array_equal(fixed, model.fixed_log_weights(x, 4, 0, scheme))
    alone = model.log_weights(x[1:2], mode="fixed", num_samples=4, scheme=scheme)
    assert_close(alone[:, :, 0], fixed[:, :, 1])
    signatures = Signatures(model, 4, 0, scheme=scheme).signatures()
    served = signatures["classify"](tf.constant(x))
    expected = logits_of(fixed)
    np.testing.assert_array_equal(served["class"], tf.argmax(expected, 1))
    logits = signatures["logits"](tf.constant(x))["logits"]
    assert_close(logits, expected)
    seeded = signatures["logits_seeded"](tf.constant(x), tf.constant(7, tf.int64))["logits"]
    options: dict[str, Any] = {"num_samples": 4, "scheme": scheme, "seed": 7}
    assert_close(seeded, model.logits(x, **options))


def test_attacks_see_snapshots_and_single_classes(tmp_path: pathlib.Path) -> None:
    write_run(tmp_path / "GBZ", fitted=False)
    run = Run.load(tmp_path / "GBZ", Sampling(3, scheme="mixture"))
    access, x = run.access(common_random_numbers=True), images(2)
    assert access.log_weights is not None
    num_classes = run.model.architecture.num_classes
    snapshots = access.log_weights(tf.constant(x))
    assert snapshots.shape == (3, num_classes, 2)
    assert_close(logits_of(snapshots), access.logits(tf.constant(x)))
    attack = Superwhite(nb_iter=2, eps_iter=0.05, snapshot=True, rand_init=False)
    adversarial = attack(access.log_weights, x, np.array([0, 1]), 0.1)
    assert 0.0 < np.abs(adversarial - x).max() <= 0.1 + 1e-6
