"""Peak memory of what the benchmark times, each call in a process of its own.

Memory that a process once had is rarely given back, so that only the first call of a process tells
what a call needs. The processes are forked from one that has imported TensorFlow and not used it.
"""

import multiprocessing
import pathlib
import re
from collections.abc import Sequence

from benchmark.parts import Case
from tf_deepbayes.core.errors import InputError

PROCESS = pathlib.Path("/proc/self")  # Linux's


def peaks(case: Case, calls: Sequence[str]) -> dict[str, float]:
    """MiB that a process grows by during each call and the one before it, which traces."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmark.memory"])
    with context.Pool(1, maxtasksperchild=1) as pool:
        return {call: pool.apply(growth, (case, call)) for call in calls}


def growth(case: Case, call: str) -> float:
    """MiB from before the call to its peak."""
    timed = case.calls()[call]
    try:
        (PROCESS / "clear_refs").write_text("5")  # the peak starts anew
        before = _mebibytes("VmRSS")
        timed()
        return _mebibytes("VmHWM") - before
    except OSError as error:
        raise InputError(
            f"peak memory is read from {PROCESS}, as on Linux ({error}); leave it out: --nomemory"
        ) from error


def _mebibytes(field: str) -> float:
    found = re.search(rf"^{field}:\s+(\d+) kB", (PROCESS / "status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024
