"""A fusion model is attacked, detected, evaluated and exported from pixels, as any other run."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from benchmark.noise import FIGURES
from tests.cli.commands.fusion.small_runs import SmallRuns
from tests.models.fusion.networks import save, small_network
from tests.rounding import assert_close
from tf_deepbayes.data import datasets
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.runs.run import Run, load_model

VICTIM = ["--victim", "runs/cifar10/GBZ_Z4_net_features", "--data", "cifar10", "--num_samples", 2]
FEW = ["--num_images", 6, "--eval_draws", 1, "--batch_size", 6]


@pytest.mark.parametrize(
    "attack",
    [
        # One for each function of the classifier that an attack follows.
        *(["fgsm"], ["pgd", "--nb_iter", 2, "--lazy_classes", 2]),
        ["superwhite", "--snapshot", "--nb_iter", 2],
        ["feature_matching", "--nb_iter", 2],
        ["pgd", "--nb_iter", 2, "--label_only"],
    ],
    ids=lambda attack: "_".join(map(str, attack)),
)
def test_attacks_from_pixels(runs: SmallRuns, attack: list[object]) -> None:
    out = runs("attack/attack.py", *VICTIM, *FEW, "--attack", *attack, "--eps", "8/255",
               "--pool_size", 50)  # fmt: skip
    assert "GBZ on cifar10" in out
    folder = runs.folder / str(VICTIM[1]) / "attacks"
    newest = max(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    figures = json.loads(newest.read_text())["figures"]
    assert figures["num_images"] == 6
    if attack[0] == "fgsm":
        with np.load(newest.with_suffix(".npz")) as file:
            assert file["adversarial"].shape == (6, 32, 32, 3)
        assert 0.03 < figures["perturbation"]["linf"]["max"] < 0.032


def test_detectors_are_fitted_on_cached_features(runs: SmallRuns) -> None:
    """The thresholds are those of pixels, where there is no cache, to 1e-4."""
    command = ["detect/detect.py", *VICTIM, "--fit_only"]
    cache, folder = runs.runs / "cifar10" / "features", runs.folder / str(VICTIM[1]) / "detection"
    found = []
    for kept in (True, False):
        if not kept:
            cache.rename(cache.with_name("moved"))
        runs(*command)
        (path,) = folder.glob("thresholds_*.json")
        figures = json.loads(path.read_text())["figures"]
        found.append({name: figures[name]["thresholds"] for name in ("marginal", "logit", "kl")})
        path.unlink()
    cache.with_name("moved").rename(cache)
    for name, thresholds in found[0].items():
        np.testing.assert_allclose(thresholds, found[1][name], rtol=1e-4, atol=1e-4)


def test_detection_and_evaluation(runs: SmallRuns) -> None:
    runs("attack/attack.py", *VICTIM, *FEW, "--name", "fgsm", "--eps", 0.1)
    out = runs("detect/detect.py", *VICTIM, "--attack", "fgsm_eps0.10", "--num_clean", 10)
    assert "kl" in out and "marginal" in out
    out = runs("attack/evaluate.py", *VICTIM, "--budget", "quick", "--num_images", 4, "--eps",
               0.03, "--check_images", 2, "--eval_draws", 1,
               "--attacks", "pgd_log_odds_0,label_only")  # fmt: skip
    assert "robust" in out


def test_its_noise_is_measured_from_pixels(runs: SmallRuns) -> None:
    name = str(VICTIM[1]).rpartition("/")[2]
    few = ["--schemes", "independent,mixture", "--num_samples", "1,2", "--num_images", "6,6"]
    of = ["--runs", "runs/cifar10", "--models", name, "--data_dir", "data", "--draws", 2]
    rows = [line for line in runs("benchmark/noise.py", *of, *few).splitlines() if name in line]
    measured, tables = rows[:2], rows[2:]
    assert measured == [f"{name} K = 1 measured", f"{name} K = 2 measured"]
    assert len(tables) == 2 * len(FIGURES) and not any("–" in row for row in tables)


def exported(folder: pathlib.Path) -> dict[str, tf.Tensor]:
    """The signatures of an export."""
    return tf.saved_model.load(str(folder)).signatures


def test_an_export_has_the_extractor_inside(runs: SmallRuns) -> None:
    runs("train/export.py", VICTIM[1], "--out", "exported", "--num_samples", 3)
    signatures = exported(runs.folder / "exported")
    test = datasets.load("cifar10", runs.folder / "data").test.first(7)
    found = signatures["logits"](x=tf.constant(test.pixels))["logits"]
    model = load_model(runs.folder / str(VICTIM[1]))
    wanted = tf.reduce_logsumexp(model.fixed_log_weights(test.pixels, 3), 0) - np.log(3.0)
    np.testing.assert_allclose(found, tf.transpose(wanted), rtol=1e-5, atol=1e-3)
    again = signatures["logits_uint8"](x=tf.constant(test.images))["logits"]
    np.testing.assert_allclose(found, again, rtol=1e-6)
    made = signatures["reconstruct"](x=tf.constant(test.pixels))
    assert made["features"].shape == (7, 24)
    drawn = signatures["sample"](labels=tf.constant([1, 2], tf.int64))
    assert drawn["features"].shape == (2, 24)
    metadata = json.loads((runs.folder / "exported" / "metadata.json").read_text())
    assert metadata["extractor"]["layer"] == "features"
    assert metadata["signatures"]["logits"]["inputs"]["x"]["shape"] == [None, 32, 32, 3]


def test_an_onnx_export_has_the_extractor_inside(runs: SmallRuns) -> None:
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    runs("train/export.py", VICTIM[1], "--out", "in_onnx", "--num_samples", 3, "--onnx")
    folder = runs.folder / "in_onnx"
    x = datasets.load("cifar10", runs.folder / "data").test.pixels[:5]
    found = runtime.InferenceSession(folder / "model.onnx").run(["logits"], {"x": x})[0]
    expected = exported(folder)["logits"](x=tf.constant(x))["logits"].numpy()
    assert_close(found, expected, 1e-4)


def test_an_export_of_a_saved_model(runs: SmallRuns) -> None:
    save(small_network(), runs.folder / "net_saved")
    features = ["--features", "net_saved", "--layer", "features", "--out", "of_saved"]
    runs.train("DBX", *features)
    assert (runs.folder / "of_saved" / "extractor" / "saved_model.pb").is_file()
    runs("train/export.py", "of_saved", "--out", "exported_saved", "--num_samples", 2)
    shutil.rmtree(runs.folder / "net_saved")
    x = datasets.load("cifar10", runs.folder / "data").test.pixels[:3]
    found = exported(runs.folder / "exported_saved")["logits"](x=tf.constant(x))["logits"]
    run = Run.load(runs.folder / "of_saved", Sampling(2))
    wanted = tf.reduce_logsumexp(run.model.fixed_log_weights(x, 2), 0) - np.log(2.0)
    np.testing.assert_allclose(found, tf.transpose(wanted), rtol=1e-5, atol=1e-3)
