"""Files that are pickles of arrays."""

import pathlib
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_deepbayes.core.array_pickle.machine import Machine
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import write_atomically


def read_array_pickle(path: pathlib.Path) -> dict[str, Any]:
    """The dictionary {name: array, string, number or list} of a pickle (Python 2 or 3).

    Raises:
        InputError: no such file, damaged, or a pickle of anything else.
    """
    if not path.is_file():
        raise InputError(f"expected a pickle of arrays at {path}, found no such file")
    try:
        return Machine(path.read_bytes()).run()
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
