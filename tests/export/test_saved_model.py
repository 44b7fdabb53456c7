"""Exported models give the same numbers where nothing but TensorFlow is installed."""

import json
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ROOT
from tests.exported import BYTES, SEED, K, X, build, load, write_run
from tests.rounding import assert_close
from tests.small import VECTORS, classifier
from tf_deepbayes.detection import selection
from tf_deepbayes.export.saved_model import METADATA, export
from tf_deepbayes.export.signatures import Signatures
from tf_deepbayes.models import generation
from tf_deepbayes.models.factorisations import FACTORISATIONS
from tf_deepbayes.models.registry import NAMES
from tf_deepbayes.runs import detector_files

GENERATIVE = [name for name in FACTORISATIONS if name not in ("DFX", "DBX")]
LABELS = np.array([0, 1, 2, 2])
# One of each kind with every signature: a deep Bayes model, dropout, a network without noise. The
# others differ from them in their log weights and pictures alone.
COMPLETE = ("GFZ", "BNN", "CNN")
PLAIN = ("logits", "classify", "reconstruct", "sample")
every_signature = Signatures.signatures


def plain_signatures(server: Signatures) -> dict[str, Any]:
    """Those in which models of one kind differ."""
    return {name: made for name, made in every_signature(server).items() if name in PLAIN}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Runs of every model, untrained, and thresholds of the complete ones fitted at K = 5."""
    root = tmp_path_factory.mktemp("runs")
    for name in NAMES:
        write_run(root / name, fitted=name in COMPLETE)
    return root


@pytest.fixture(scope="module")
def exports(runs: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Every model exported, the complete ones with every signature."""
    root = tmp_path_factory.mktemp("exports")
    for name in NAMES:
        fitted = runs / name / "thresholds.json" if name in COMPLETE else None
        block_size = 50 if name in FACTORISATIONS else None
        with pytest.MonkeyPatch.context() as patch:
            if name not in COMPLETE:
                patch.setattr(Signatures, "signatures", plain_signatures)
            export(load(runs / name), root / name, fitted=fitted, block_size=block_size)
    return root


@pytest.fixture(scope="module")
def served(exports: pathlib.Path) -> dict[str, np.ndarray]:
    """What the exports answer in a process of their own."""
    np.savez(exports / "inputs.npz", bytes=BYTES, labels=LABELS)
    command = [sys.executable, str(ROOT / "tests" / "export_client.py"), str(exports)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=exports, timeout=600)
    assert done.returncode == 0, done.stderr
    return dict(np.load(exports / "outputs.npz"))


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_of_the_model(name: str, served: dict[str, np.ndarray]) -> None:
    model = build(name)
    log_w = model.fixed_log_weights(X, K, SEED).numpy()
    logits = np.logaddexp.reduce(log_w, axis=0).T - np.log(len(log_w))
    predicted = logits.argmax(1)
    probabilities = np.asarray(tf.nn.softmax(logits))
    # The logarithm of a probability is as exact as the logits that it comes from.
    tolerance = 1e-5 * np.abs(logits).max()
    assert_close(served[f"{name}/logits/logits"], logits)
    np.testing.assert_array_equal(served[f"{name}/classify/class"], predicted)
    found = served[f"{name}/classify/probability"]
    np.testing.assert_allclose(found, probabilities.max(1), atol=tolerance)
    if name in COMPLETE:
        assert_close(served[f"{name}/logits_uint8/logits"], logits)
        every = served[f"{name}/probabilities/probabilities"]
        np.testing.assert_allclose(every, probabilities, atol=tolerance)
        np.testing.assert_array_equal(found, every.max(1))
        np.testing.assert_array_equal(served[f"{name}/serving_default/class"], predicted)
    if name in COMPLETE and model.has_p_x:
        found = served[f"{name}/log_marginal/log_marginal"]
        assert_close(found, np.logaddexp.reduce(logits, axis=1))
    if name in FACTORISATIONS:
        weights = np.exp(log_w - log_w.max(0)).transpose(0, 2, 1)[:, np.arange(7), predicted]
        expected = weights.sum(0) ** 2 / (weights**2).sum(0)
        found = served[f"{name}/classify/effective_sample_size"]
        np.testing.assert_allclose(found, expected, rtol=1e-3)
        assert found.min() >= 0.999 and found.max() <= K + 1e-3


@pytest.mark.parametrize("name", ["GFZ", "BNN"])
def test_seeded_signatures_draw_the_noise_of_their_seed(
    name: str, served: dict[str, np.ndarray]
) -> None:
    expected = build(name).logits(X, num_samples=K, seed=11)
    assert_close(served[f"{name}/logits_seeded/logits"], expected)
    assert np.abs(served[f"{name}/logits/logits"] - expected).max() > 1e-3


@pytest.mark.parametrize("name", ["GFZ", "BNN"])
def test_every_signature_takes_bytes(name: str, served: dict[str, np.ndarray]) -> None:
    variants = [key for key in served if key.startswith(f"{name}/") and "_uint8" in key]
    assert {"classify_uint8", "classify_uint8_seeded"} < {key.split("/")[1] for key in variants}
    for key in variants:
        bytes_, floats = served[key], served[key.replace("_uint8", "")]
        # x/255 may differ in its last bit; an effective sample size has the rounding of logits.
        np.testing.assert_allclose(bytes_, floats, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_depends_on_the_image_alone(name: str, served: dict[str, np.ndarray]) -> None:
    together = served[f"{name}/logits/logits"]
    assert_close(served[f"{name}/reversed"], together)
    assert_close(served[f"{name}/alone"], together[:1])


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_goes_through_the_served_model(
    name: str, served: dict[str, np.ndarray]
) -> None:
    model, x = build(name), tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = tf.transpose(tf.reduce_logsumexp(model.fixed_log_weights(x, K, SEED), 0))
        objective = tf.reduce_sum(logits[:, 0] - logits[:, 1])
    expected = tape.gradient(objective, x).numpy()
    assert np.abs(expected).max() > 0
    found = served[f"{name}/gradient"]
    # Its importance weights are exp of differences of log weights of 500 nats, rounded to 6e-5.
    assert_close(found, expected, 1e-3)


@pytest.mark.parametrize("name", COMPLETE)
def test_detectors_inside_the_model_are_the_fitted_ones(
    name: str, runs: pathlib.Path, served: dict[str, np.ndarray]
) -> None:
    fitted = detector_files.read_detectors(runs / name / "thresholds.json")
    logits = served[f"{name}/logits/logits"]
    for detector in fitted.values():
        start = f"{name}/detect/{detector.name}"
        score = detector.score(logits)
        np.testing.assert_allclose(served[f"{start}_score"], score, rtol=1e-5, atol=1e-5)
        bound = np.asarray(detector.thresholds)[logits.argmax(1)]
        np.testing.assert_array_equal(served[f"{start}_threshold"], bound)
        np.testing.assert_array_equal(served[f"{start}_accept"], ~detector.reject(logits))
    found = {key.split("/")[2] for key in served if key.startswith(f"{name}/detect/")}
    assert found == {"class"} | {
        f"{n}_{o}" for n in fitted for o in ("accept", "score", "threshold")
    }


def test_every_detector_has_a_graph_that_agrees(served: dict[str, np.ndarray]) -> None:
    accepted = [served[f"GFZ/detect/{name}_accept"] for name in selection.DETECTORS]
    assert any(a.any() for a in accepted) and not all(a.all() for a in accepted)


@pytest.mark.parametrize("name", GENERATIVE)
def test_pictures(name: str, served: dict[str, np.ndarray]) -> None:
    model = build(name)
    predicted = served[f"{name}/classify/class"]
    assert_close(served[f"{name}/reconstruct/image"], generation.reconstruct(model, X, predicted))
    assert_close(served[f"{name}/sample/image"], generation.sample(model, LABELS, seed=SEED))
    if name in COMPLETE:
        assert_close(
            served[f"{name}/sample_seeded/image"], generation.sample(model, LABELS, seed=11)
        )
    # The same label at another place is another picture; more labels change none before them.
    assert np.abs(np.diff(served[f"{name}/sample/image"][2:], axis=0)).max() > 1e-3
    assert_close(
        generation.sample(model, LABELS[:2], seed=SEED), served[f"{name}/sample/image"][:2]
    )


def test_large_batches_need_the_memory_of_blocks(served: dict[str, np.ndarray]) -> None:
    for batch in (7, 100, 1000):
        assert_close(served[f"batch/{batch}"], served["GFZ/logits/logits"])
    assert_close(served["batch/1"], served["GFZ/logits/logits"][:1])
    grown = int(served["memory/1000"] - served["memory/100"])
    # 900 more images hold 3 MB themselves; 13,500 more decodes at once would hold 250 MB.
    assert grown < 100, f"{grown} MB more for 1000 images"


def test_what_is_no_image_or_label_is_refused(served: dict[str, np.ndarray]) -> None:
    assert "pixels in [0, 1]" in str(served["refused/logits"])
    assert "labels must be from 0 to 2" in str(served["refused/sample"])


@pytest.mark.parametrize("name", NAMES)
def test_metadata_says_what_is_in_the_folder(
    name: str, exports: pathlib.Path, served: dict[str, np.ndarray]
) -> None:
    metadata = json.loads((exports / name / METADATA).read_text())
    assert metadata["model"] == name and metadata["provenance"]["versions"]["tensorflow"]
    assert metadata["num_samples"] == (None if name in ("MLP", "CNN") else K)
    found = json.loads(str(served[f"{name}/signatures"]))
    described = {n: sorted(s["outputs"]) for n, s in metadata["signatures"].items()}
    assert found == described
    assert ("sample" in found) == (name in GENERATIVE)
    if name in COMPLETE:
        assert ("log_marginal" in found) == (name in GENERATIVE)
        x = metadata["signatures"]["logits_uint8"]["inputs"]["x"]
        assert x == {"dtype": "uint8", "shape": [None, 28, 28, 1]}


@pytest.mark.parametrize("name", NAMES)
def test_every_model_has_the_signatures_of_its_kind(name: str) -> None:
    answers = {"logits", "probabilities", "classify"}
    answers |= {"log_marginal", "reconstruct"} if name in GENERATIVE else set()
    ends = ["", "_uint8", "_seeded", "_uint8_seeded"]
    expected = {a + end for a in answers for end in (ends[:2] if name in ("MLP", "CNN") else ends)}
    expected |= {"sample", "sample_seeded"} if name in GENERATIVE else set()
    assert set(Signatures(build(name), K).signatures()) == expected | {"serving_default"}


def test_feature_vectors_have_no_bytes() -> None:
    names = set(Signatures(classifier("GBZ", VECTORS)).signatures())
    assert "reconstruct_seeded" in names and not any("uint8" in name for name in names)
