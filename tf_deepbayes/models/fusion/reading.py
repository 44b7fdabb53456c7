"""Files of networks: .keras, .h5, Geifman's weights, SavedModel folders. No code in them is run.

A SavedModel is a graph of TensorFlow operations, which can read and write files: load only those
that you trust.
"""

import functools
import json
import pathlib
import re
import shutil
import warnings
import zipfile
from typing import Any

import h5py
import keras
import tensorflow as tf

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models.fusion import geifman
from tf_deepbayes.models.fusion.network import SAVED_FOLDER, Network, of_keras, sha256_of
from tf_deepbayes.models.fusion.pixels import UNIT
from tf_deepbayes.models.fusion.vgg16 import vgg16
from tf_deepbayes.models.keras_model import own_settings

SIGNATURE = "serving_default"
SUFFIXES = (".keras", ".h5", ".hdf5")


def read_network(path: pathlib.Path, layer: str | None = None) -> Network:
    """The network of a file up to a layer.

    Args:
        path: a Keras model (.keras, or a whole model as .h5), the weights of Geifman's VGG16
            (.h5), or the folder of a SavedModel.
        layer: see `network.of_keras`; of a SavedModel an output of its signature. None: the last.

    Raises:
        InputError: nothing is there, it is damaged, needs code, or has no such layer.
    """
    if path.is_dir():
        return _read_saved_model(path, layer)
    if not path.is_file():
        raise InputError(f"no extractor {path}; give a .keras or .h5 file, or a SavedModel folder")
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"{path.name} is no {', '.join(SUFFIXES)} file; save the whole model as .keras"
        )
    with own_settings():
        if path.suffix == ".keras":
            model = _read_keras(path, functools.partial(_keras_config, path))
        elif geifman.MODEL in geifman.attributes(path):
            model = _read_keras(path, functools.partial(_h5_config, path))
        else:
            model = vgg16()
            geifman.load_weights(path, model)
        return of_keras(path, model, layer)


def _read_keras(path: pathlib.Path, config: Any) -> keras.Model:
    try:
        with warnings.catch_warnings():
            # An old file's arguments are no news to its reader; arrays that it lacks are.
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message=".*(Skipping|could not be loaded)")
            model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever the file or its layers raise
        try:
            code = _code_in(config())
        except Exception as damage:
            reason = " ".join(str(damage).split())[:120]
            raise InputError(f"{path.name} is damaged ({reason}); fetch it again") from None
        if code or (code := _unknown_class(str(error))):
            raise InputError(
                f"{path.name} needs code that it does not hold ({code}); nothing in it is run: "
                "save a model of Keras' own layers"
            ) from None
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path.name} is damaged ({reason}); fetch it again") from None
    if not isinstance(model, keras.Model):
        raise InputError(f"{path.name} holds no Keras model; save the whole model as .keras")
    return model


def _keras_config(path: pathlib.Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        archive.testzip()
        return json.loads(archive.read("config.json"))


def _h5_config(path: pathlib.Path) -> Any:
    with h5py.File(path, "r") as file:
        return json.loads(file.attrs[geifman.MODEL])


def _code_in(config: Any) -> str:
    """What in a model's configuration is code: a Lambda, or a class that is not Keras' own."""
    if isinstance(config, list):
        return next(filter(None, map(_code_in, config)), "")
    if not isinstance(config, dict):
        return ""
    kind, own = config.get("class_name"), config.get("config")
    if kind == "Lambda" and isinstance(own, dict):
        return f"Lambda {own.get('name')!r}"
    if isinstance(kind, str) and config.get("registered_name") and not config.get("module"):
        return kind
    return next(filter(None, map(_code_in, config.values())), "")


def _unknown_class(error: str) -> str:
    found = re.search(r"(?:Unknown layer: |locate class )'([^']+)'", error)
    return found[1] if found else ""


def _read_saved_model(folder: pathlib.Path, layer: str | None) -> Network:
    if not (folder / "saved_model.pb").is_file():
        raise InputError(f"{folder} is no SavedModel: expected saved_model.pb in it")
    try:
        loaded = tf.saved_model.load(str(folder))
        signature = loaded.signatures[SIGNATURE]
    except KeyError:
        raise InputError(
            f"{folder.name} is a SavedModel without the signature {SIGNATURE}; give a .keras file"
        ) from None
    except Exception as error:  # a damaged folder can raise any type
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{folder.name} is damaged ({reason}); fetch it again") from None
    inputs = signature.structured_input_signature[1]
    outputs = dict(sorted(signature.structured_outputs.items()))
    if len(inputs) != 1:
        raise InputError(f"extractor {folder.name} has {len(inputs)} inputs; expected one image")
    layer = next(iter(outputs)) if layer is None and len(outputs) == 1 else layer
    if layer is None or layer not in outputs:
        raise InputError(
            f"{folder.name} is a SavedModel, which gives only its outputs: {', '.join(outputs)}; "
            "choose one of them or give a .keras file"
        )
    shape = outputs[layer].shape
    if shape.rank is None or shape.rank < 2 or None in shape[1:]:
        raise InputError(f"layer {layer!r} gives {shape}; choose one of fixed size")
    ((argument, taken),) = inputs.items()
    scores = [n for n, o in outputs.items() if o.shape.rank == 2 and n != layer]
    scores += [layer] if not scores and shape.rank == 2 else []
    answer = lambda name, x: signature(**{argument: x})[name]  # noqa: E731
    return Network(
        name=folder.name,
        sha256=sha256_of(folder),
        output=functools.partial(answer, layer),
        input_shape=tuple(taken.shape[1:]),
        output_shape=tuple(shape[1:]),
        layer=layer,
        number=None,
        label=layer,
        variables=list(signature.variables),
        structure=sha256_of(folder),
        write=lambda target: _copy(folder, target / SAVED_FOLDER),
        classify=functools.partial(answer, scores[0]) if scores else None,
        num_classes=outputs[scores[0]].shape[1] if scores else None,
        pixels=UNIT,
        holder=loaded,
    )


def _copy(folder: pathlib.Path, target: pathlib.Path) -> None:
    shutil.copytree(folder, target)
