"""Exports as files: the app, settings, what is overwritten, ONNX."""

import json
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.exported import SEED, K, X, build, load, write_run
from tests.rounding import assert_close
from tests.small import classifier
from tf_deepbayes.core.axes import logits_of
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.export import onnx_model
from tf_deepbayes.export.saved_model import METADATA, export
from tf_deepbayes.export.signatures import MAX_SEED, Signatures
from tf_deepbayes.models.factorisations import FACTORISATIONS

App = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Runs of a DBX and an MLP."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("DBX", "MLP"):
        write_run(root / name)
    return root


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 0}, "num_samples must be a whole number of at least 1"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"seed": MAX_SEED + 1}, f"seed must be at most {MAX_SEED}"),
    ],
)
def test_settings_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Signatures(classifier("DBX"), **options)


def test_block_size_is_of_deep_bayes_models(runs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="--block_size does not apply to MLP"):
        export(load(runs / "MLP"), tmp_path / "MLP", block_size=5)
    assert not list(tmp_path.iterdir())


def test_the_app_and_saved_model_cli(
    runs: pathlib.Path, fresh_app: App, tmp_path: pathlib.Path
) -> None:
    out, flags = tmp_path / "served", ["--num_samples", K, "--seed", SEED, "--noise", "qmc"]
    done = fresh_app("train/export.py", runs / "DBX", "--out", out, *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(out) and not done.stderr
    assert not [path for path in tmp_path.iterdir() if path != out]
    np.save(tmp_path / "x.npy", X)
    cli = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]  # saved_model_cli
    where = ["--dir", str(out), "--tag_set", "serve", "--signature_def", "logits"]
    command = [*cli, "run", *where, "--inputs", "x=x.npy", "--outdir", "."]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    expected = logits_of(build("DBX").fixed_log_weights(X, K, SEED, "qmc"))
    assert_close(np.load(tmp_path / "logits.npy"), expected)
    assert json.loads((out / METADATA).read_text())["noise"] == "qmc"

    before = (out / METADATA).read_bytes()
    wrong = ["--overwrite", *flags, "--thresholds", runs / "MLP" / "thresholds.json"]
    done = fresh_app("train/export.py", runs / "DBX", "--out", out, *wrong)
    assert done.returncode == 2 and "was fitted with" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and (out / METADATA).read_bytes() == before


def test_only_an_export_is_overwritten(runs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "export"
    export(load(runs / "MLP"), folder, fitted=runs / "MLP" / "thresholds.json")
    with pytest.raises(InputError, match="exists; pass --overwrite to replace it"):
        export(load(runs / "MLP"), folder)
    export(load(runs / "MLP"), folder, overwrite=True)
    assert "detect" not in json.loads((folder / METADATA).read_text())["signatures"]
    assert len(tf.saved_model.load(str(folder)).signatures) == 7
    (folder / METADATA).unlink()
    with pytest.raises(InputError, match="is not an exported model, so it is not overwritten"):
        export(load(runs / "MLP"), folder, overwrite=True)
    assert (folder / "saved_model.pb").is_file()


def test_onnx_has_the_same_logits(runs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    metadata = export(load(runs / "MLP"), tmp_path / "export", onnx=True)
    assert (tmp_path / "export" / metadata["onnx"]["file"]).is_file()
    for name in [*FACTORISATIONS, "CNN", "GBZ+mixture"]:
        model, scheme = build(name.split("+")[0]), "mixture" if "+" in name else "independent"
        onnx_model.write(Signatures(model, K, SEED, scheme=scheme), tmp_path / name)
        session = runtime.InferenceSession(tmp_path / name)
        expected = logits_of(model.fixed_log_weights(X, K, SEED, scheme))
        for count in (1, 7):
            found = session.run(["logits"], {"x": X[:count]})[0]
            largest = np.abs(expected).max()
            np.testing.assert_allclose(found, expected[:count], rtol=0, atol=1e-4 * largest)


def test_onnx_says_what_it_needs(
    runs: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'needs tf2onnx; run pip install "tf_deepbayes\[onnx\]"'):
        export(load(runs / "DBX"), tmp_path / "DBX", onnx=True)
    assert not list(tmp_path.iterdir())
