"""Progress of a long pass, with a terminal and without."""

import io
import sys

import numpy as np
import pytest

from tf_deepbayes.core import metrics
from tf_deepbayes.core import progress as module
from tf_deepbayes.core.progress import progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_nothing_is_written_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(iter("abc"), 3, "letters")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_what_is_done_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, clock = Terminal(), iter([0.0, *(100.0 * i for i in range(40))])
    monkeypatch.setattr(sys, "stderr", seen)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert list(progress(range(40), 40, "batches")) == list(range(40))
    lines = seen.getvalue().split(module.ERASE_LINE)
    assert lines[1:4] == [
        "batches: 0 of 40",
        "batches: 1 of 40, 1:05:00 left",
        "batches: 2 of 40, 1:03:20 left",
    ]
    assert lines[-2:] == ["batches: 39 of 40, 1:40 left", ""]


def test_the_line_is_erased_when_the_pass_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)

    def fails(x: object) -> object:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        metrics.predict(fails, np.zeros((2, 3), np.float32), 1, label="images")
    assert "images, batches: 0 of 2" in seen.getvalue()
    assert seen.getvalue().endswith(module.ERASE_LINE)


def test_an_item_may_count_for_several(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, clock = Terminal(), iter([0.0, *(100.0 * i for i in range(40))])
    monkeypatch.setattr(sys, "stderr", seen)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert list(progress(range(0, 50, 20), 50, "steps", each=20)) == [0, 20, 40]
    lines = seen.getvalue().split(module.ERASE_LINE)
    assert lines[1:] == [
        "steps: 0 of 50",
        "steps: 20 of 50, 2:30 left",
        "steps: 40 of 50, 0:50 left",
        "",
    ]
