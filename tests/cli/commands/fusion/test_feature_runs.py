"""Training on features by the apps: run folders, resume, published names and checkpoints."""

import json
import pathlib
import pickle
import shutil

import numpy as np
import pytest

from tests.cli.commands.fusion.small_runs import FAST, SmallRuns, arrays
from tests.models.fusion.networks import WIDTH, save, small_network
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data import datasets
from tf_deepbayes.models.fusion.vgg16 import vgg16
from tf_deepbayes.runs.checkpoints import load_config
from tf_deepbayes.runs.run import load_model, load_run

TRAIN = ["train/vae.py", "GBZ", "--data", "cifar10"]
FEATURES = ["--features", "net.keras", "--layer", "features", "--pixels", "unit"]


def test_the_folder_says_what_the_features_are(runs: SmallRuns, trained: pathlib.Path) -> None:
    assert trained == runs.runs / "cifar10" / "GBZ_Z4_net_features"
    config = load_config(trained)
    assert config.architecture.input_shape == (24,) and config.architecture.num_classes == 10
    said = config.extractor or {}
    assert said["file"] == "net.keras" and said["layer"] == "features" and said["pixels"] == "unit"
    assert said["feature_scale"] == 1.0 and said["feature_shape"] == [24]
    assert (trained / "extractor.keras").is_file() and (trained / "trained.json").is_file()
    (cache,) = (runs.runs / "cifar10" / "features").iterdir()
    assert cache.name.startswith("net_features_")
    assert np.load(cache / "train.npy").shape == (300, 24)


def test_a_resumed_run_is_the_same_to_the_bit(runs: SmallRuns, trained: pathlib.Path) -> None:
    command = [*TRAIN, *FEATURES, *FAST, "--out", "again"]
    runs(*command, "--epochs", 1)
    assert load_config(runs.folder / "again").training["epochs"] == 1
    out = runs(*command, "--resume")
    assert "epoch 2 of 2" in out and "epoch 1 of 2" not in out
    found, wanted = arrays(runs.folder / "again"), arrays(trained)
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
    out = runs(*TRAIN, *FEATURES, *FAST, "--continue_from", "again", "--out", "more", "--epochs", 3)
    assert "epoch 3 of 3" in out and load_run(runs.folder / "more").model is not None


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (["--layer", "conv"], "layer is features in the run and conv in the flags"),
        (["--pixels", "bytes"], "pixels is unit in the run and bytes in the flags"),
        (["--feature_scale", "0.5"], "feature_scale is 1.0 in the run and 0.5 in the flags"),
        (["--features", "other.keras"], "extractor is "),
    ],
)
def test_other_features_do_not_resume_a_run(
    runs: SmallRuns, trained: pathlib.Path, changed: list[str], what: str
) -> None:
    if not (runs.folder / "other.keras").exists():
        save(small_network(1), runs.folder / "other.keras")
    before = {path: path.read_bytes() for path in trained.iterdir() if path.is_file()}
    command = [*TRAIN, *FEATURES, *FAST, *changed, "--out", trained, "--resume", "--epochs", 3]
    line = runs.refused(*command)
    assert "cannot be resumed" in line and what in line
    assert {path: path.read_bytes() for path in trained.iterdir() if path.is_file()} == before


def test_a_moved_folder_is_complete(
    runs: SmallRuns, trained: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(trained, tmp_path / "elsewhere" / "run")
    run = load_run(tmp_path / "elsewhere" / "run")
    x = datasets.load("cifar10", runs.folder / "data").test.pixels[:5]
    np.testing.assert_array_equal(
        run.model.logits(x, seed=1), load_model(trained).logits(x, seed=1)
    )


def test_a_run_without_its_extractor(trained: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run" / "extractor.keras"
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    line = r"^run .*run lacks extractor.keras, or it is not the one that it was trained on \(sha256"
    with pytest.raises(InputError, match=line):
        load_run(tmp_path / "run")
    path.unlink()
    with pytest.raises(InputError, match=line):
        load_run(tmp_path / "run")


def test_published_names_and_places(runs: SmallRuns) -> None:
    """`python vae_cifar_fea.py E mid`, with the VGG16 where train/vgg.py puts it."""
    folder = runs.runs / "cifar10" / "VGG"
    folder.mkdir()
    save(vgg16(WIDTH), folder / "extractor.keras")
    command = ["train/vae.py", "E", "--data", "cifar10", "--layer", "mid", *FAST, "--epochs", 1]
    line = runs.refused(*command)
    assert "extractor extractor.keras gets .1" in line  # its weights are random
    out = runs(*command[:6], "--pixels", "geifman", "--epochs", 1, "--batch_size", 20)
    assert out.splitlines()[-1] == "runs/cifar10/DBX_mid"
    config = load_config(runs.runs / "cifar10" / "DBX_mid")
    assert config.training["kl_warm_up"] == 0 and config.architecture.dim_z == 128
    assert config.architecture.input_shape == (512,)
    assert (config.extractor or {})["label"] == "mid"
    out = runs("attack/attack.py", "--victim", "fea_K2_E_mid", "--data", "cifar10", "--eps", 0.01,
               "--num_images", 4, "--eval_draws", 1)  # fmt: skip
    assert "DBX on cifar10" in out


def test_published_checkpoints_of_features(runs: SmallRuns, trained: pathlib.Path) -> None:
    runs("train/export_checkpoint.py", trained, "--out", "fea_F.pkl")
    with (runs.folder / "fea_F.pkl").open("rb") as file:
        params = pickle.load(file)
    assert len(params) == 18 and all("vae" in name for name in params)
    command = ["train/import_checkpoint.py", "fea_F.pkl", "--letter", "F", "--data", "cifar10"]
    line = runs.refused(*command)
    assert "is of 24 features; give --layer, and the network that they are of, --features" in line
    line = runs.refused(*command, "--features", "net.keras", "--layer", "conv")
    assert "layer conv of net.keras gives 192 values; give the --layer that it was trained" in line
    out = runs(*command, *FEATURES, "--out", "imported")
    assert out.strip() == "imported"
    x = datasets.load("cifar10", runs.folder / "data").test.pixels[:5]
    found, wanted = load_model(runs.folder / "imported"), load_model(trained)
    np.testing.assert_array_equal(found.logits(x, seed=1), wanted.logits(x, seed=1))


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["GFZ", *FEATURES], "GFZ has no published form on features; choose DBX, GBZ or GBY"),
        (["CNN", *FEATURES], "CNN has no published form on features; choose DBX, GBZ or GBY"),
        (["GBZ", "--features", "net.keras"], "features need --layer: low, mid or high"),
        (
            ["GBZ", "--layer", "mid", "--runs", "none"],
            "no extractor: expected --features, none/cifar10/VGG/extractor.keras (train/vgg.py) or "
            "cifar10vgg.h5 in --data_dir",
        ),
        (["GBZ", *FEATURES, "--architecture", "text"], "networks of the text are for images"),
    ],
)
def test_bad_input_is_one_line(runs: SmallRuns, arguments: list[str], what: str) -> None:
    line = runs.refused("train/vae.py", arguments[0], "--data", "cifar10", "--out", "new",
                        *arguments[1:])  # fmt: skip
    assert what in line
    assert not (runs.folder / "new").exists()


@pytest.mark.parametrize("flag", ["--layer=mid", "--features=net.keras"])
@pytest.mark.parametrize("script", ["attack/attack.py", "detect/detect.py"])
def test_flags_of_training_are_not_those_of_a_run(runs: SmallRuns, script: str, flag: str) -> None:
    line = runs.refused(script, "--victim", "GBZ_Z4_net_features", "--data", "cifar10", flag)
    assert line == "error: --layer and --features are of training; the run knows its own"


def test_a_run_of_images_has_no_extractor(trained: pathlib.Path, tmp_path: pathlib.Path) -> None:
    content = json.loads((trained / "config.json").read_text())
    assert "stored_sha256" in content["extractor"]
    del content["extractor"]
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert load_config(tmp_path).extractor is None


@pytest.mark.parametrize("changed", [{"layer": None}, {"image_shape": 3}, {"feature_scale": "1"}])
def test_a_damaged_configuration(
    trained: pathlib.Path, tmp_path: pathlib.Path, changed: dict[str, object]
) -> None:
    content = json.loads((trained / "config.json").read_text())
    content["extractor"] |= changed
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"is not a run's configuration"):
        load_config(tmp_path)
