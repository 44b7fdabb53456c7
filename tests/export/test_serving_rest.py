"""An exported model behind the server of docs/serving.md, asked as TensorFlow Serving is."""

import contextlib
import json
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ROOT
from tests.exported import X, load, write_run
from tf_deepbayes.export.saved_model import export

pytest.importorskip("kserve", reason='kserve is not installed: pip install -e ".[serving]"')


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A GFZ as a SavedModel."""
    folder = tmp_path_factory.mktemp("served")
    write_run(folder / "GFZ", fitted=False)
    export(load(folder / "GFZ"), folder / "export")
    return folder / "export"


@pytest.fixture(scope="module")
def address(exported: pathlib.Path) -> Iterator[str]:
    """Where the page's program answers."""
    page = (ROOT / "docs" / "serving.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    script = exported.parent / "serve.py"
    script.write_text(program)
    with contextlib.closing(socket.socket()) as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = ["--model_name", "GFZ", "--http_port", str(port), "--enable_grpc", "false"]
    process = subprocess.Popen([sys.executable, script, exported, *flags])
    url = f"http://localhost:{port}/v1/models/GFZ"
    try:
        wait(url, process)
        yield url
    finally:
        process.kill()
        process.wait()


def wait(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until the server answers."""
    deadline = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(url):
            return
        time.sleep(0.2)
    raise TimeoutError("the server did not start")


def ask(url: str, **body: Any) -> Any:
    """The predictions of a request."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(url + ":predict", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["predictions"]


@pytest.mark.parametrize("name", ["serving_default", "classify", "logits", "reconstruct"])
def test_answers_are_those_of_the_model(name: str, exported: pathlib.Path, address: str) -> None:
    found = ask(address, signature_name=name, instances=X.tolist())
    signature = tf.saved_model.load(str(exported)).signatures[name]
    expected = {key: value.numpy() for key, value in signature(x=tf.constant(X)).items()}
    assert len(found) == len(X)
    for key, values in expected.items():
        column = found if len(expected) == 1 else [row[key] for row in found]
        np.testing.assert_allclose(column, values, rtol=1e-5)


def test_bytes_are_answered_too(address: str) -> None:
    pixels = np.round(X * 255).astype(np.uint8)
    found = ask(address, signature_name="logits_uint8", instances=pixels.tolist())
    expected = ask(address, signature_name="logits", instances=(pixels / 255.0).tolist())
    np.testing.assert_allclose(found, expected, rtol=1e-4)
