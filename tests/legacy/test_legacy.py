"""Published checkpoints: recognised by their arrays, refused when they do not fit."""

import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from tests import small
from tests.conftest import ROOT, golden
from tf_deepbayes.core.architecture import FUSION, MNIST
from tf_deepbayes.core.array_pickle import read_array_pickle
from tf_deepbayes.legacy.published_names import parse_fusion_victim, saved_attack_name
from tf_deepbayes.legacy.variables import infer_architecture, model_from_params, params_from_model
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.run import find_run


def params() -> dict[str, np.ndarray]:
    return golden("mnist_small_A").group("param")


def without(name: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in params().items() if key != name}


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    return {**params(), name: change(params()[name])}


@pytest.mark.parametrize(
    ("checkpoint", "letter", "message"),
    [
        (params(), "H", "unknown model 'H'; choose one of GFZ"),
        (params(), "D", "check letter and likelihood"),
        (params(), "B", "check letter and likelihood"),
        (without("gen_l3_W:0"), "A", "it lacks 'gen_l3_W:0'; check letter"),
        (without("enc_mlp_l1_b:0"), "A", "it lacks 'enc_mlp_l1_b:0'"),
        (without("enc_mlp_l1_W:0"), "A", "expected the variables of a published model"),
        ({**params(), "extra:0": np.zeros(1)}, "A", "GFZ has no use for 'extra:0'"),
        (changed("gen_l0_W:0", lambda a: a.T), "A", r"must have shape \[18, 32\], got \[32, 18\]"),
        (changed("gen_l0_b:0", lambda a: a.astype(float)), "A", "finite float32, got float64"),
        (changed("gen_l0_b:0", lambda a: a * np.nan), "A", "finite float32, got NaN"),
        (
            changed("enc_mlp_l1_W:0", lambda a: a[:, :0]),
            "A",
            "dim_z must be a whole number of at least 1",
        ),
        (changed("enc_mlp_l0_W:0", lambda a: np.zeros((0, 10**9))), "A", "num_classes"),
        (changed("enc_mlp_l1_W:0", lambda a: np.zeros((0, 10**9))), "A", "do not fill"),
        ({}, "A", "expected the variables of a published model, found none"),
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
    assert infer_architecture(checkpoint) == MNIST
    model = model_from_params(checkpoint, "A")
    blank = np.zeros((1, 28, 28, 1), np.float32)
    assert np.isfinite(model.logits(blank, seed=0)).all()


GOLDEN = [
    *(f"mnist_small_{letter}" for letter in "ABCDEFG"),
    *(f"cifar_small_{letter}" for letter in "ACDFG"),
    *("fusion_small_E", "fusion_small_F", "mnist_small_A_gaussian", "mnist_small_B_logistic_cdf"),
]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_published_arrays_come_back_under_their_names_and_in_their_order(name: str) -> None:
    data = golden(name)
    model = model_from_params(data.group("param"), data.meta["type"], data.meta["ll"])
    found = params_from_model(model)
    assert list(found) == data.meta["param_order"]
    for key, array in data.group("param").items():
        assert found[key].dtype == np.float32
        np.testing.assert_array_equal(found[key], array)


def test_the_script_of_f_for_colour_images_has_a_name_of_its_own() -> None:
    colour = small.classifier("GBZ", small.IMAGES.replace(input_shape=(32, 32, 3)))
    grey = small.classifier("GBZ")
    assert "gen_pyzx_mlp_l0_W_2:0" in params_from_model(colour)
    assert "gen_pyz_mlp_l0_W_2:0" in params_from_model(grey)


def test_sizes_that_were_never_published_are_refused() -> None:
    for sizes in ({"channels": (2, 3)}, {"input_shape": (28, 28, 3)}, {"hidden_layers": 2}):
        model = small.classifier("DBX", small.IMAGES.replace(**sizes))
        with pytest.raises(ValueError, match="expected sizes that a published model can have"):
            params_from_model(model)


def test_names_of_fusion_models_and_of_saved_attacks() -> None:
    assert parse_fusion_victim("fea_K10_F_mid") == ("GBZ", 10, "mid")
    assert parse_fusion_victim("fea_K10_A_mid") is None  # E, F and G only were published
    for name in ("fgsm_eps0.10", "fgsm_eps0.10_untargeted", "mnist_fgsm_eps0.10_untargeted.pkl"):
        assert saved_attack_name(name, "mnist") == "fgsm_eps0.10"
    assert saved_attack_name("cw_c1.00_lr0.010_targeted", "mnist") == "cw_c1.00_lr0.010_targeted"


def test_a_fusion_model_without_a_run_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"no fusion model on the VGG features 'mid'.*GBZ_mid"):
        find_run("fea_K10_F_mid", "cifar10", tmp_path)
    folder = tmp_path / "cifar10" / "GBZ_mid"
    checkpoints.save_config(folder, checkpoints.RunConfig("GBZ", "cifar10", FUSION, "l2", 0, {}))
    assert find_run("fea_K7_F_mid", "cifar10", tmp_path) == (folder, 7)
