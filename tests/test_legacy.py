"""Published checkpoints: recognised by their arrays, refused when they do not fit."""

import pathlib

import numpy as np
import pytest

from tests.conftest import ROOT, golden
from tf_deepbayes.architecture import MNIST
from tf_deepbayes.data_files import read_array_pickle
from tf_deepbayes.legacy import infer_architecture, model_from_params


def params() -> dict[str, np.ndarray]:
    return golden("mnist_small_A").group("param")


def without(name: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in params().items() if key != name}


@pytest.mark.parametrize(
    ("checkpoint", "letter", "message"),
    [
        (params(), "H", "unknown model 'H'; choose one of GFZ"),
        (params(), "D", "check the letter"),
        (params(), "B", "check letter and likelihood"),
        (without("gen_l3_W:0"), "A", "p_x_zy of GFZ needs arrays of shapes"),
        (without("enc_mlp_l1_b:0"), "A", "q_z_xy of GFZ needs arrays of shapes"),
        ({**params(), "extra:0": np.zeros(1)}, "A", r"GFZ has no use for \['extra:0'\]"),
        ({}, "A", "expected the variables of a published GFZ"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    checkpoint: dict[str, np.ndarray], letter: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model_from_params(checkpoint, letter)


def test_likelihoods_with_a_scale_need_twice_the_channels() -> None:
    with pytest.raises(ValueError, match="check letter and likelihood"):
        model_from_params(params(), "A", likelihood="gaussian")


def test_the_trained_published_checkpoint_is_recognised() -> None:
    path: pathlib.Path = ROOT.parent / "shared" / "golden" / "published_checkpoint_A.pkl"
    if not path.is_file():
        pytest.skip(f"the published checkpoint {path.name} is not in ../shared/golden")
    checkpoint = read_array_pickle(path)
    assert infer_architecture(checkpoint, "GFZ") == MNIST
    model = model_from_params(checkpoint, "A")
    blank = np.zeros((1, 28, 28, 1), np.float32)
    assert np.isfinite(model.logits(blank, seed=0)).all()
