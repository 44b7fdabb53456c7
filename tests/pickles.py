"""Published checkpoints for the tests, and pickles that must be refused."""

import pathlib
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import golden


class Call:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def published(**changes: Any) -> bytes:
    """A checkpoint of a model A with some variables changed; None leaves one out."""
    params = {**golden("mnist_small_A").group("param"), **changes}
    return pickle.dumps({n: a for n, a in params.items() if a is not None}, protocol=3)


def assembled(*opcodes: bytes) -> bytes:
    """A pickle of protocol 2 of these opcodes."""
    return b"\x80\x02" + b"".join(opcodes) + b"."


# A tuple of ten times itself, thirty times: hashing or printing it would take for ever.
LAUGHS = b"()q\x00" + b"".join(b"(" + b"h\x00" * 10 + b"tq\x00" for _ in range(30)) + b"t"


def refusal(read: Callable[[pathlib.Path], object], content: bytes, folder: pathlib.Path) -> str:
    """The message, one short line, with which `read` refuses the only file of an empty folder."""
    path = folder / "checkpoint_0.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read(path)
    assert list(folder.iterdir()) == [path]
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    return message
