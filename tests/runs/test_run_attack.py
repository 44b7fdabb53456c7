"""An attack on a run: what it is counted from, and what it is called."""

import pathlib
import types
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import untrained_runs
from tf_deepbayes.attacks import ATTACKS, FGSM
from tf_deepbayes.core.axes import Array
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.runs.attack import RunAttack
from tf_deepbayes.runs.attacking.options import AttackOptions
from tf_deepbayes.runs.run import Run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of runs with a small GBZ."""
    return untrained_runs(tmp_path_factory.mktemp("runs"), "GBZ")


def clean_logits(runs: pathlib.Path, draws_before: bool) -> Array:
    """The logits of the clean images, which an attack counts from."""
    run = Run.load(runs / "digits" / "GBZ", Sampling(2, seed=0))
    options = AttackOptions(num_images=4, eval_draws=2)
    prepared = RunAttack(FGSM(), options, lambda: (run, run), str(runs / "digits.npz"))
    if draws_before:
        run.logits(prepared.test.pixels)
    return prepared.target.clean_logits


def test_clean_predictions_do_not_depend_on_what_was_drawn_before(runs: pathlib.Path) -> None:
    """Fitting a detector draws, and reading a fitted one does not."""
    np.testing.assert_array_equal(clean_logits(runs, False), clean_logits(runs, True))


@pytest.mark.parametrize(("attack", "said"), [("superwhite", False), ("imitate_head", True)])
def test_the_detector_is_in_the_name_unless_it_is_the_published_one(
    runs: pathlib.Path, attack: str, said: bool
) -> None:
    victim, options = Run.load(runs / "digits" / "GBZ"), AttackOptions(detector="logit")
    made: Any = types.SimpleNamespace(attack=ATTACKS[attack](), victim=victim, options=options)
    assert ("logit" in RunAttack.name(made, 0.1)) is said
