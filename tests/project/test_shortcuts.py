"""What benchmark/shortcuts.py makes of runs with a shortcut and without it."""

import pathlib
import subprocess
from collections.abc import Callable

import numpy as np
import pytest

from benchmark.shortcuts import HEAD, Attacked, cells, compared

App = Callable[..., "subprocess.CompletedProcess[str]"]


def run_of(broken: list[int], seconds: float) -> Attacked:
    """A run of ten images in three draws; each of them lost one draw by luck."""
    wins = np.zeros((3, 10), bool)
    wins[:, broken] = True
    wins[0] ^= True
    return Attacked(wins, steps=20.0, wall_clock=seconds, processor=2 * seconds)


def test_differences_are_read_against_those_of_the_noise() -> None:
    without = [run_of([0, 1, 2, 3], 4.0), run_of([0, 1, 2, 4], 6.0)]
    found = compared(without, [run_of([0, 1, 2, 3], 1.0), run_of([5, 6], 4.0)])
    assert found["num_images"] == 10
    assert found["without"]["differing"] == pytest.approx(0.2)  # 3 and 4
    assert found["with"]["differing"] == pytest.approx(0.6)
    # Runs of the same number share their start: only 0 with 1 and 1 with 0 count.
    assert found["differing"] == pytest.approx((0.6 + 0.2) / 2)
    assert found["wall_clock"]["ratio"] == found["processor"]["ratio"] == pytest.approx(2.0)
    expected = (2 * 4 + 6) / 30  # four images in two draws, the six others in one
    assert found["without"]["success_rate"] == pytest.approx(expected)
    low, high = found["without"]["success_rate_interval"]
    assert low < expected < high
    assert len(cells({"model": "GFZ", **found})) == len(HEAD)


def test_one_run_of_each_has_nothing_to_compare_outcomes_with() -> None:
    found = compared([run_of([0], 1.0)], [run_of([0], 1.0)])
    assert found["differing"] is None
    assert cells({"model": "GFZ", **found})[-3:] == ["–", "–", "–"]


def test_a_run_that_is_not_there_is_one_line_and_status_2(app: App, tmp_path: pathlib.Path) -> None:
    done = app("benchmark/shortcuts.py", "--runs", tmp_path, "--models", "XYZ")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "is not a run folder" in done.stderr
