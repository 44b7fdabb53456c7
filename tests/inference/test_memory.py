"""K = 1000 works in the memory of K = 20, forwards and backwards."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.conftest import ROOT

STATUS = pathlib.Path("/proc/self/status")
# The peak never falls, so the second figure is above the first by what more samples need more.
# Not ru_maxrss: it starts at the size of the process that started this one, which hides all below.
MEASURE = """
import json, pathlib, re
import tensorflow as tf
from tests.small import classifier, images
model, x, peaks = classifier("{name}"), tf.constant(images(100)), []
def logits(num_samples):
    return model.logits(x, num_samples=num_samples, scheme="{scheme}")
def gradient(num_samples):
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = logits(num_samples)
    return tape.gradient(found, x)
for num_samples in (20, 20, {many}):
    {what}(num_samples)
    status = pathlib.Path("/proc/self/status").read_text()
    peaks.append(int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024)
print(json.dumps(peaks))
"""


@pytest.mark.skipif(not STATUS.exists(), reason=f"reads {STATUS}, as on Linux")
@pytest.mark.parametrize(("name", "scheme"), [("GFZ", "independent"), ("GBZ", "mixture")])
@pytest.mark.parametrize(("what", "many"), [("logits", 1000), ("gradient", 400)])
def test_many_samples_need_no_more_memory_than_twenty(
    what: str, many: int, name: str, scheme: str
) -> None:
    program = MEASURE.format(what=what, many=many, name=name, scheme=scheme)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    _, twenty, most = json.loads(done.stdout)
    # All decodes at once would hold more than 3 GB of images and features, a gradient's as much.
    assert most - twenty < 100, f"{twenty} MB for K = 20, {most} MB for K = {many}"
