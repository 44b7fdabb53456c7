"""Long passes: their progress, shown on terminals, and how they stop on request.

A batch system sends SIGTERM some seconds before it ends a job. Only the command line calls
`listen_for_signals`; without it, nothing here changes what a signal does.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TypeVar

from tf_deepbayes.core.errors import StopRequested

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 0.5
ERASE_LINE = "\r\x1b[K"
# A batch system may send SIGTERM to a script and to the app that it runs, which passes it on.
SECONDS_OF_ONE_REQUEST = 1.0


def progress(items: Iterable[Item], total: int, label: str, each: int = 1) -> Iterator[Item]:
    """The items; on a terminal, a line on stderr shows how many are done and the time left.

    Nothing is written if stderr is not a terminal. (Keras' own bar goes to stdout, where the apps
    print their results, and is longer than a line.)

    Args:
        total: of what is counted.
        label: what is counted, the line's first words.
        each: how many an item counts for.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    started, shown = time.monotonic(), float("-inf")
    try:
        for index, item in enumerate(items):
            done = index * each
            now = time.monotonic()
            if now - shown >= SECONDS_BETWEEN_LINES:
                _show(f"{label}: {done} of {total}{_time_left(now - started, done, total)}")
                shown = now
            yield item
    finally:
        _show("")


def _time_left(elapsed: float, done: int, total: int) -> str:
    if not done:
        return ""
    minutes, seconds = divmod(round(elapsed * (total - done) / done), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f", {clock} left"


def _show(text: str) -> None:
    sys.stderr.write(ERASE_LINE + text)
    sys.stderr.flush()


class _Stopping:
    """Whether this process was asked to stop, and how many passes now decide when they do."""

    asked = False
    passes = 0


def listen_for_signals() -> None:
    """Stop on SIGTERM by raising `StopRequested`; a second SIGTERM or Ctrl-C ends at once."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    threading.Thread(target=_end_at_the_second, args=(reader,), daemon=True).start()
    signal.signal(signal.SIGTERM, _stop)


@contextlib.contextmanager
def stopping_between_steps() -> Iterator[None]:
    """In this block a request to stop waits until the pass asks `stop_requested`."""
    _Stopping.passes += 1
    try:
        yield
    finally:
        _Stopping.passes -= 1


def stop_requested() -> bool:
    """Whether to raise `StopRequested` now, between two steps."""
    return _Stopping.asked


def _stop(number: int, frame: FrameType | None) -> None:
    _Stopping.asked = True
    if not _Stopping.passes:
        raise StopRequested


def _end_at_the_second(reader: int) -> None:
    """Read the numbers of signals, also while the main thread computes in TensorFlow."""
    first = None
    while True:
        number, now = os.read(reader, 1)[0], time.monotonic()
        if first is None:
            first = now
        elif number == signal.SIGINT or now - first > SECONDS_OF_ONE_REQUEST:
            os._exit(128 + number)
