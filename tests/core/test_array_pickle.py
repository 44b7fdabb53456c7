"""Pickles of arrays are read whatever wrote them; any other pickle is refused and runs nothing."""

import builtins
import os
import pathlib
import pickle
import re
from collections.abc import Callable

import numpy as np
import pytest

from tests.pickles import LAUGHS, Call, assembled, published, refusal
from tf_deepbayes.core import array_pickle
from tf_deepbayes.core.array_pickle import machine


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_pickles_of_every_protocol_and_byte_order_are_read(
    protocol: int, tmp_path: pathlib.Path
) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "transposed": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "scalar": np.array(1.5),
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(arrays, protocol=protocol))
    found = array_pickle.read_array_pickle(tmp_path / "x.pkl")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


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
