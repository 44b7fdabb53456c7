"""Progress of long passes, shown on terminals."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 0.5
ERASE_LINE = "\r\x1b[K"


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
