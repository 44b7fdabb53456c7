"""A small machine for the opcodes that dictionaries of arrays consist of.

A pickle is a program. This machine knows the opcodes of dictionaries, arrays, strings, numbers and
lists, of protocols 0 to 5: it looks up no class and calls no function by name, so a malicious
pickle is refused and cannot do harm.
"""

import codecs
import io
import pickletools
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from tf_deepbayes.core.axes import Array

# A CIFAR-10 batch needs 50,000 opcodes, a checkpoint 1,000.
MAX_OPCODES = 1_000_000


def _opcodes(content: bytes) -> Iterator[tuple[str, Any]]:
    """(opcode, argument); as `pickletools.genops`, but texts of Python 2 may hold any byte."""
    data = io.BytesIO(content)
    name = ""
    while name != "STOP":
        opcode = pickletools.code2op.get(data.read(1).decode("latin1"))  # type: ignore
        if opcode is None:
            raise ValueError(f"at byte {data.tell()} is no opcode")
        name = opcode.name
        if name == "STRING":
            quoted = data.readline().strip()
            if len(quoted) < 2 or quoted[:1] != quoted[-1:] or quoted[:1] not in (b"'", b'"'):
                raise ValueError("a text has no quotes")
            yield name, codecs.escape_decode(quoted[1:-1])[0].decode("latin1")  # type: ignore
        else:
            yield name, None if opcode.arg is None else opcode.arg.reader(data)


class _Name(str):
    """A global that the pickle names, as "module name"; it is never looked up."""


class _Dtype:
    """What `dtype('f4', False, True)` stands for, until its byte order is set."""

    def __init__(self, code: str, *flags: Any) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[fiu][1248]|b1", code):
            raise ValueError(f"an array of type {str(code)[:20]!r} is not one of numbers")
        self.dtype = np.dtype(code)

    def set_state(self, version: int, order: str, *rest: Any) -> None:
        if order not in ("<", ">", "|", "=") or any(value is not None for value in rest[:3]):
            raise ValueError("an array's type is not one of numbers")
        self.dtype = np.dtype(order + self.dtype.str[1:])


class _Array:
    """What `_reconstruct(ndarray, (0,), b'b')` stands for, until its content is set."""

    value: Array

    def __init__(self, *arguments: Any) -> None:
        pass

    @classmethod
    def of_buffer(
        cls, raw: str | bytes, dtype: "_Dtype", shape: tuple[int, ...], order: str, *rest: Any
    ) -> "_Array":
        """What `_frombuffer` of protocol 5 makes."""
        found = cls()
        if order not in ("C", "F") or any(value is not None for value in rest):
            raise ValueError("an array's order is none")
        found.set_state(1, shape, dtype, order == "F", raw)
        return found

    def set_state(
        self, version: int, shape: tuple[int, ...], dtype: _Dtype, fortran: bool, raw: str | bytes
    ) -> None:
        values = np.frombuffer(_as_bytes(raw), dtype.dtype)
        if not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError("an array's shape is not one of whole numbers")
        self.value = values.reshape(shape, order="F" if fortran else "C")


def _as_bytes(raw: str | bytes) -> bytes:
    """Python 2 wrote strings where Python 3 has bytes."""
    return raw.encode("latin1") if isinstance(raw, str) else raw


class Machine:
    """The stack, the marks and the memo of a pickle."""

    _CONSTANTS: ClassVar[dict[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
    _ARGUMENT_ITSELF: ClassVar[set[str]] = {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
    _NEW: ClassVar[dict[str, type]] = {
        "EMPTY_DICT": dict,
        "EMPTY_LIST": list,
        "EMPTY_TUPLE": tuple,
    }
    _TUPLES: ClassVar[dict[str, int]] = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
    _NO_EFFECT: ClassVar[set[str]] = {"PROTO", "FRAME", "STOP"}

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0
        self.calls: dict[str, Callable[..., Any]] = {
            "numpy.core.multiarray _reconstruct": _Array,
            "numpy._core.multiarray _reconstruct": _Array,
            "numpy.core.numeric _frombuffer": _Array.of_buffer,
            "numpy._core.numeric _frombuffer": _Array.of_buffer,
            "numpy dtype": _Dtype,
            "_codecs encode": self._encode,
        }

    def run(self) -> dict[str, Any]:
        """The dictionary that the pickle holds."""
        for count, (name, argument) in enumerate(_opcodes(self.content)):
            if count >= MAX_OPCODES:
                raise ValueError(f"it has more than {MAX_OPCODES} opcodes")
            self._step(name, argument)
        if not self.stack or not isinstance(self.stack[-1], dict):
            raise ValueError("it holds no dictionary")
        content = self.stack[-1].items()
        return {name: v.value if isinstance(v, _Array) else v for name, v in content}

    def _step(self, name: str, argument: Any) -> None:
        if name in self._CONSTANTS:
            self.stack.append(self._CONSTANTS[name])
        elif name in self._ARGUMENT_ITSELF:
            self.stack.append(argument)
        elif name in self._NEW:
            self.stack.append(self._NEW[name]())
        elif name in self._TUPLES:
            self.stack.append(tuple(self._pop(self._TUPLES[name])))
        elif name not in self._NO_EFFECT:
            handler = getattr(self, f"_on_{name.lower()}", None)
            if handler is None:
                raise ValueError(f"it has an opcode {name}, which arrays do not need")
            handler(argument)

    def _encode(self, text: str, encoding: str) -> bytes:
        """Bytes of Python 3 in protocol 2; each text of the file is to be used once."""
        self.encoded += len(text)
        if encoding != "latin1" or self.encoded > len(self.content):
            raise ValueError("it encodes text that is no array")
        return text.encode("latin1")

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) - count < (self.marks[-1] if self.marks else 0):
            raise ValueError("its stack is empty")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def _pop_to_mark(self) -> list[Any]:
        taken = self._pop(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return taken

    def _on_mark(self, _: None) -> None:
        self.marks.append(len(self.stack))

    def _on_tuple(self, _: None) -> None:
        self.stack.append(tuple(self._pop_to_mark()))

    def _on_list(self, _: None) -> None:
        self.stack.append(self._pop_to_mark())

    def _on_dict(self, _: None) -> None:
        items = self._pop_to_mark()
        self.stack.append({})
        self._update(items)

    def _on_append(self, _: None) -> None:
        self._extend(self._pop(1))

    def _on_appends(self, _: None) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("it appends to what is no list")
        self.stack[-1].extend(values)

    def _on_setitem(self, _: None) -> None:
        self._update(self._pop(2))

    def _on_setitems(self, _: None) -> None:
        self._update(self._pop_to_mark())

    def _update(self, items: list[Any]) -> None:
        names = items[::2]
        if not all(type(name) is str for name in names):
            raise ValueError("it holds a dictionary whose names are no text")
        self.stack[-1].update(zip(names, items[1::2], strict=True))

    def _on_binput(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    _on_put = _on_long_binput = _on_binput

    def _on_memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _on_binget(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _on_get = _on_long_binget = _on_binget

    def _on_global(self, name: str) -> None:
        if name not in (*self.calls, "numpy ndarray"):
            raise ValueError(f"it asks for {name[:80].replace(' ', '.')}, which is no array")
        self.stack.append(_Name(name))

    def _on_stack_global(self, _: None) -> None:
        self._on_global(" ".join(self._pop(2)))

    def _on_reduce(self, _: None) -> None:
        function, arguments = self._pop(2)
        if not isinstance(function, _Name) or function not in self.calls:
            raise ValueError("it calls what is no array")
        self.stack.append(self.calls[function](*arguments))

    def _on_build(self, _: None) -> None:
        (state,) = self._pop(1)
        if not isinstance(self.stack[-1], _Array | _Dtype):
            raise ValueError("it sets the state of what is no array")
        self.stack[-1].set_state(*state)
