"""A reader of `cifar10vgg.h5`, the weights of Geifman's VGG16 as an old Keras wrote them.

The root attribute `layer_names` lists the layers; each has a group with the attribute
`weight_names`, and arrays at /layer/weight name, such as /conv2d_1/conv2d_1/kernel:0. Layers may be
counted from any number, so they are matched by order and kind.
"""

import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import keras
import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError

FILE = "cifar10vgg.h5"
SHA1 = "3d62c7aead897aebddce82516f39646f551df89a"
FETCH = f"fetch it again (sha1 {SHA1[:8]}…)"
MODEL, LAYERS = "model_config", "layer_names"  # root attributes: a whole model, weights alone


def attributes(path: pathlib.Path) -> set[str]:
    """The root attributes of an .h5 file; InputError when it is damaged."""
    return _read(path, lambda file: set(file.attrs))


def load_weights(path: pathlib.Path, model: keras.Model) -> None:
    """Load the file's arrays into the VGG16, all or nothing.

    Raises:
        InputError: it is damaged, or an array is missing, left over, of another shape, not float32
            or not finite.
    """
    layers = [layer for layer in model.layers if layer.weights]
    arrays = _read(path, lambda file: list(_arrays(path, file, layers)))
    for layer, own in zip(layers, arrays, strict=True):
        layer.set_weights(own)


def _read(path: pathlib.Path, read: Any) -> Any:
    try:
        with h5py.File(path, "r") as file:
            return read(file)
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise any type
        found = re.search(r"\((.*)\)", " ".join(str(error).split()))
        reason = (found[1] if found else str(error))[:120]
        raise InputError(f"{path.name} is damaged ({reason}); fetch it again") from None


def _arrays(
    path: pathlib.Path, file: h5py.File, layers: Sequence[keras.layers.Layer]
) -> Iterator[list[Array]]:
    """The checked arrays of each of the model's layers."""
    names = [name for name in map(_text, file.attrs.get(LAYERS, [])) if _weights(file, name)]
    _check_kinds(path, names, [layer.name.rpartition("_")[0] for layer in layers])
    pairs = list(zip(names, layers, strict=True))
    for name, layer in pairs:
        missing = [w for w in layer.weights if w.name not in _weights(file, name)]
        if missing:
            shape = _product(missing[0].shape)
            raise InputError(f"{path.name} lacks {name}/{missing[0].name} ({shape}); {FETCH}")
    for name, layer in pairs:
        found = _weights(file, name)
        own = [(f"{name}/{w.name}", file[name][found[w.name]], w) for w in layer.weights]
        for what, data, weight in own:
            if data.shape != tuple(weight.shape):
                wanted, got = _product(weight.shape), _product(data.shape)
                raise InputError(
                    f"{path.name}: {what} must be {wanted}, got {got}; expected Geifman's {FILE}"
                )
        yield [_checked(path, what, data) for what, data, _ in own]


def _check_kinds(path: pathlib.Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    found = [re.sub(r"_\d+$", "", name) for name in names]
    common = min(len(found), len(wanted))
    if not found or found[:common] != list(wanted[:common]):
        raise InputError(
            f"{path.name} holds weights and no model, and they are not those of Geifman's VGG16; "
            "save the whole model as .keras"
        )
    if len(found) != len(wanted):
        raise InputError(
            f"{path.name}: {len(found)} layers have weights, not {len(wanted)}; expected Geifman's "
            f"{FILE}"
        )


def _weights(file: h5py.File, layer: str) -> dict[str, str]:
    """The layer's arrays: short name, such as kernel, → its path in the layer's group."""
    if layer not in file:
        return {}
    paths = map(_text, file[layer].attrs.get("weight_names", []))
    return {re.sub(r":\d+$", "", p.rpartition("/")[2]): p for p in paths if p in file[layer]}


def _checked(path: pathlib.Path, what: str, data: h5py.Dataset) -> Array:
    if data.dtype != np.float32:
        raise InputError(f"{path.name}: {what} must be float32, got {data.dtype}; fetch it again")
    values = data[()]
    if not np.isfinite(values).all():
        raise InputError(f"{path.name}: {what} has NaN or infinite values; fetch it again")
    return values


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _product(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "1"
