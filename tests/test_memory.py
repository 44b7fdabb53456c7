"""K = 1000 works in the memory of K = 20."""

import json
import subprocess
import sys

from tests.conftest import ROOT

# ru_maxrss never falls, so the second figure is above the first by what K = 1000 needs more.
MEASURE = """
import json, resource
from tests.small import classifier, images
model, x, peaks = classifier("GFZ"), images(100), []
for num_samples in (20, 20, 1000):
    model.logits(x, num_samples=num_samples)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print(json.dumps(peaks))
"""


def test_a_thousand_samples_need_no_more_memory_than_twenty() -> None:
    command = [sys.executable, "-c", MEASURE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    _, twenty, thousand = json.loads(done.stdout)
    # All 300,000 decodes at once would hold more than 3 GB of images and features.
    assert thousand - twenty < 100, f"{twenty} MB for K = 20, {thousand} MB for K = 1000"
