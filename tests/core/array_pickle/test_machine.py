"""Pickles of arrays are read whatever wrote them; any other pickle is refused and runs nothing."""

import builtins
import os
import pathlib
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.pickles import LAUGHS, Call, assembled, published, refusal
from tf_deepbayes.core import array_pickle
from tf_deepbayes.core.array_pickle import machine


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol_and_byte_order_are_read(
    protocol: int, tmp_path: pathlib.Path
) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "transposed": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "scalar": np.array(1.5),
        "empty": np.zeros((0, 3), np.int8),
        "axes": np.arange(24, dtype=np.float16).reshape(2, 3, 4).transpose(1, 0, 2),
        "bytes": np.arange(256, dtype=np.uint8),
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(arrays, protocol=protocol))
    found = array_pickle.read_array_pickle(tmp_path / "x.pkl")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("protocol", range(6))
def test_lists_numbers_and_text_are_read(protocol: int, tmp_path: pathlib.Path) -> None:
    shared = np.arange(3.0)
    content: dict[Any, Any] = {
        "labels": [1, 0, 255, -1, 10**6, 2**70, True, 1.5, None],
        "names": ["cat", "ξ\n'\"\\"],
        "numbers": [np.float32(0.1), np.int64(3)],
        "arrays": [shared, shared, np.eye(2)],
        b"data": b"\x00\xff'",
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    found = array_pickle.read_array_pickle(tmp_path / "x.pkl")
    assert found["labels"] == content["labels"] and found["names"] == content["names"]
    assert found["numbers"] == content["numbers"] and found["numbers"][0].dtype == np.float32
    for own, array in zip(found["arrays"], content["arrays"], strict=True):
        np.testing.assert_array_equal(own, array)
    assert found["data"] == content[b"data"]


# What Python 2.7 writes by default for {"w": float32 [2], "n": [1, True], "d": u"ä"}: protocol 0.
PYTHON_2 = (
    b"(dp0\nS'w'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\n"
    b"tp4\nS'b'\np5\ntp6\nRp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\n"
    b"tp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\n"
    b"S'\\x00\\x00\\x80?\\x00\\x00\\x00\\xc0'\np15\ntp16\nbsS\"n\"\np17\n"
    b"(lp18\nL1L\naI01\nasS'd'\nV\xe4\np19\ns."
)


def test_a_pickle_of_python_2_is_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.pkl").write_bytes(PYTHON_2)
    found = array_pickle.read_array_pickle(tmp_path / "x.pkl")
    assert found["w"].tolist() == [1.0, -2.0] and found["w"].dtype == np.float32
    assert found["n"] == [1, True] and found["d"] == "ä"


# An array that says it has 10¹² values and holds one.
HUGE = (
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01\x8a\x06\x00\x10\xa5\xd4\xe8\x00\x85cnumpy\ndtype\nU\x02f4\x89\x88\x87R"
    b"\x89U\x04abcdtb"
)
TEXT = b"X\xe8\x03\x00\x00" + b"a" * 1000 + b"q\x00"
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "system": (lambda: pickle.dumps({"a": Call(os.system, "touch evil")}), "asks for posix.system"),
    "eval": (lambda: pickle.dumps(Call(builtins.eval, "open('evil', 'w')")), "asks for .*eval"),
    "ndarray called": (lambda: pickle.dumps({"a": Call(np.ndarray, (10**12,))}), "calls what is"),
    "object array": (lambda: published(a=np.array([None, {}])), "'O8' is not one of numbers"),
    "structured": (lambda: published(a=np.zeros(2, "f4,f4")), "'V8' is not one of numbers"),
    "new object": (lambda: assembled(b"cnumpy\nndarray\n)\x81"), "an opcode NEWOBJ"),
    "instance": (lambda: assembled(b"(S'touch evil'\nios\nsystem\n"), "an opcode INST"),
    "deep key": (lambda: assembled(b"})", b"\x85" * 10**5, b"K\x01s"), "names are no text"),
    "laughing key": (lambda: assembled(b"}", LAUGHS, b"K\x01s"), "names are no text"),
    "huge array": (lambda: assembled(b"}U\x01a", HUGE, b"s"), "cannot reshape"),
    "text again and again": (
        lambda: assembled(b"}", TEXT, b"c_codecs\nencode\nh\x00U\x06latin1\x86R" * 100),
        "encodes text that is no array",
    ),
    "system of protocol 0": (
        lambda: pickle.dumps({"a": Call(os.system, "touch evil")}, protocol=0),
        "asks for posix.system",
    ),
    "bytes of a size": (
        lambda: assembled(b"}U\x01ac__builtin__\nbytes\nK\x09\x85Rs"),
        "positional",
    ),
    "buffer of objects": (
        lambda: pickle.dumps({"a": np.array([None])}, protocol=5),
        "'O8' is not one of numbers",
    ),
    "array without content": (
        lambda: assembled(
            b"}U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87Rs"
        ),
        "array without content",
    ),
    "string without quotes": (lambda: b"(dS'a\nI1\ns.", "string without quotes"),
    "no end": (lambda: published()[:-1], "it has no end"),
    "empty stack": (lambda: assembled(b"R"), "stack is empty"),
    "no memo": (lambda: assembled(b"h\x07"), "damaged"),
    "truncated": (lambda: published()[:-100], "damaged or no pickle"),
    "no pickle": (lambda: b"hello", "damaged or no pickle"),
    "nothing": (lambda: b"", "damaged or no pickle"),
    "a list": (lambda: pickle.dumps([np.zeros(2)]), "holds no dictionary"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_pickle_of_arrays_is_refused_in_one_line_and_runs_nothing(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content, message = REFUSED[name]
    found = refusal(array_pickle.read_array_pickle, content(), tmp_path)
    assert re.search(f"checkpoint_0.pkl.*{message}", found)


def test_more_opcodes_than_arrays_need_are_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "MAX_OPCODES", 100)
    (tmp_path / "x.pkl").write_bytes(published())
    with pytest.raises(ValueError, match="more than 100 opcodes"):
        array_pickle.read_array_pickle(tmp_path / "x.pkl")
