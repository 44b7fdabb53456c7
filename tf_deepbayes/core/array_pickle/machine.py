"""A machine for the pickles of arrays that Python 2 and 3 write, of protocols 0 to 5.

A pickle is a program. This is a small machine for the opcodes that dictionaries of arrays, strings,
numbers and lists consist of: it looks up no class and calls no function by name, so a malicious
pickle is refused and cannot do harm.
"""

import codecs
import io
import pickletools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from tf_deepbayes.core.array_pickle.values import Dtype, EmptyArray, from_buffer, no_bytes, scalar

# A CIFAR-10 batch needs 50,000 opcodes, a checkpoint 1,000.
MAX_OPCODES = 1_000_000
OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}


def opcodes(content: bytes) -> Iterator[tuple[str, Any]]:
    """(name, argument) of each opcode, up to the one that ends the pickle."""
    stream, name = io.BytesIO(content), ""
    while name != "STOP":
        code = stream.read(1).decode("latin1")
        if code not in OPCODES:
            raise ValueError(f"it has an unknown opcode {code!r}" if code else "it has no end")
        opcode = OPCODES[code]
        name = opcode.name
        if name == "STRING":
            yield name, _quoted(stream.readline())
        else:
            yield name, None if opcode.arg is None else opcode.arg.reader(stream)


def _quoted(line: bytes) -> str:
    """A quoted string of Python 2, whose bytes `pickletools` does not read beyond ASCII."""
    text = line[:-1]
    if len(text) < 2 or line[-1:] != b"\n" or text[:1] not in b"\"'" or text[-1:] != text[:1]:
        raise ValueError("it has a string without quotes")
    return bytes(codecs.escape_decode(text[1:-1])[0]).decode("latin1")  # type: ignore[call-overload]


class _Name(str):
    """A global that the pickle names, as "module name"; it is never looked up."""


class Machine:
    """The stack, the marks and the memo of a pickle."""

    _CONSTANTS: ClassVar[dict[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
    _EMPTY: ClassVar[dict[str, Callable[[], Any]]] = dict(
        EMPTY_DICT=dict, EMPTY_LIST=list, EMPTY_TUPLE=tuple
    )
    _TUPLES: ClassVar[dict[str, int]] = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
    _ARGUMENT_ITSELF: ClassVar[set[str]] = {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
    _NO_EFFECT: ClassVar[set[str]] = {"PROTO", "FRAME", "STOP"}

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0
        self.calls: dict[str, Callable[..., Any]] = {
            "numpy dtype": Dtype,
            "_codecs encode": self._encode,
            "__builtin__ bytes": no_bytes,
        }
        for package in ("numpy.core", "numpy._core"):  # of NumPy 1 and 2
            self.calls[f"{package}.multiarray _reconstruct"] = EmptyArray
            self.calls[f"{package}.multiarray scalar"] = scalar
            self.calls[f"{package}.numeric _frombuffer"] = from_buffer

    def run(self) -> dict[str, Any]:
        """The dictionary that the pickle holds."""
        for count, (name, argument) in enumerate(opcodes(self.content)):
            if count >= MAX_OPCODES:
                raise ValueError(f"it has more than {MAX_OPCODES} opcodes")
            self._step(name, argument)
        if not self.stack or not isinstance(self.stack[-1], dict):
            raise ValueError("it holds no dictionary")
        if any(isinstance(value, EmptyArray) for value in self.stack[-1].values()):
            raise ValueError("it holds an array without content")
        return self.stack[-1]

    def _step(self, name: str, argument: Any) -> None:
        if name in self._CONSTANTS:
            self.stack.append(self._CONSTANTS[name])
        elif name in self._EMPTY:
            self.stack.append(self._EMPTY[name]())
        elif name in self._TUPLES:
            self.stack.append(tuple(self._pop(self._TUPLES[name])))
        elif name in self._ARGUMENT_ITSELF:
            self.stack.append(argument)
        elif name not in self._NO_EFFECT:
            handler = getattr(self, f"_on_{name.lower()}", None)
            if handler is None:
                raise ValueError(f"it has an opcode {name}, which arrays do not need")
            handler(argument)

    def _encode(self, text: str, encoding: str) -> bytes:
        """Bytes of Python 3 in protocols 0 to 2; each text of the file is to be used once."""
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
        names = [name.decode("latin1") if type(name) is bytes else name for name in items[::2]]
        if not all(type(name) is str for name in names):
            raise ValueError("it holds a dictionary whose names are no text")
        self.stack[-1].update(zip(names, items[1::2], strict=True))

    def _on_put(self, index: int) -> None:
        self.memo[index] = top = self.stack[-1]
        if isinstance(top, EmptyArray):
            top.memo_keys.append(index)

    _on_binput = _on_long_binput = _on_put

    def _on_memoize(self, _: None) -> None:
        self._on_put(len(self.memo))

    def _on_get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _on_binget = _on_long_binget = _on_get

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
        top = self.stack[-1]
        if isinstance(top, Dtype):
            top.set_state(*state)
        elif isinstance(top, EmptyArray):
            self.stack[-1] = array = top.filled(*state)
            self.memo.update(dict.fromkeys(top.memo_keys, array))
        else:
            raise ValueError("it sets the state of what is no array")
