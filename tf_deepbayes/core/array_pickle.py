"""Pickles of arrays, read without running anything and written so that old NumPy reads them.

A pickle is a program. The reader here is a small machine for the opcodes that dictionaries of
arrays, strings, numbers and lists consist of: it looks up no class and calls no function by name,
so a malicious pickle is refused and cannot do harm.
"""

import pathlib
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import write_atomically

# A CIFAR-10 batch needs 50,000 opcodes, a checkpoint 1,000.
MAX_OPCODES = 1_000_000


def read_array_pickle(path: pathlib.Path) -> dict[str, Any]:
    """The dictionary {name: array, string, number or list} of a pickle (Python 2 or 3).

    Raises:
        InputError: no such file, damaged, or a pickle of anything else.
    """
    if not path.is_file():
        raise InputError(f"expected a pickle of arrays at {path}, found no such file")
    try:
        return _Machine(path.read_bytes()).run()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error}") from None
    except Exception as error:  # a damaged pickle can raise any type
        raise InputError(f"{path} is damaged or no pickle of arrays: {error}") from None


def write_array_pickle(path: pathlib.Path, arrays: Mapping[str, Array]) -> None:
    """Write {name: array} atomically as a pickle of protocol 2, which Python 2.3 to 3 reads.

    NumPy 2 names its function for arrays `numpy._core.multiarray._reconstruct`, which NumPy 1 does
    not have; under the name that NumPy 1 uses, both find it.
    """
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = pickle.dumps(plain, protocol=2)
    write_atomically(path, lambda file: file.write(_with_old_name(content)))


def _with_old_name(content: bytes) -> bytes:
    """Rename where the opcode is, which is once: later arrays take it from the memo.

    Protocol 2 holds no offsets and no lengths that span opcodes, so a name may change its length.
    """
    new, old = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    for opcode, argument, position in pickletools.genops(content):
        is_name = opcode.name == "GLOBAL" and argument == "numpy._core.multiarray _reconstruct"
        if is_name and position is not None:
            return content[:position] + old + content[position + len(new) :]
    return content


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


class _Machine:
    """The stack, the marks and the memo of a pickle."""

    _CONSTANTS: ClassVar[dict[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
    _ARGUMENT_ITSELF: ClassVar[set[str]] = {
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINSTRING", "SHORT_BINSTRING"),
        *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    }
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
            "numpy dtype": _Dtype,
            "_codecs encode": self._encode,
        }

    def run(self) -> dict[str, Any]:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(self.content)):
            if count >= MAX_OPCODES:
                raise ValueError(f"it has more than {MAX_OPCODES} opcodes")
            self._step(opcode.name, argument)
        if not self.stack or not isinstance(self.stack[-1], dict):
            raise ValueError("it holds no dictionary")
        content = self.stack[-1].items()
        return {name: v.value if isinstance(v, _Array) else v for name, v in content}

    def _step(self, name: str, argument: Any) -> None:
        if name in self._CONSTANTS:
            self.stack.append(self._CONSTANTS[name])
        elif name in self._ARGUMENT_ITSELF:
            self.stack.append(argument)
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

    def _on_empty_dict(self, _: None) -> None:
        self.stack.append({})

    def _on_empty_list(self, _: None) -> None:
        self.stack.append([])

    def _on_empty_tuple(self, _: None) -> None:
        self.stack.append(())

    def _on_tuple(self, _: None) -> None:
        self.stack.append(tuple(self._pop_to_mark()))

    def _on_tuple1(self, _: None) -> None:
        self.stack.append(tuple(self._pop(1)))

    def _on_tuple2(self, _: None) -> None:
        self.stack.append(tuple(self._pop(2)))

    def _on_tuple3(self, _: None) -> None:
        self.stack.append(tuple(self._pop(3)))

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

    _on_long_binput = _on_binput

    def _on_memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _on_binget(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _on_long_binget = _on_binget

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
