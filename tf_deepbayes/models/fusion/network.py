"""A frozen network up to one layer, read from a file: what an extractor of features is made of."""

import dataclasses
import hashlib
import pathlib
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models.fusion import vgg16
from tf_deepbayes.models.fusion.pixels import GEIFMAN, UNIT


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A network from its pixels to one layer, in inference mode.

    Attributes:
        name: of its file.
        sha256: of its file, or of all files of its folder.
        output: pixels as the network takes them `[B, H, W, channels]` → the layer's output
            `[B, …]`, float32.
        input_shape: of one image.
        output_shape: of the layer's output.
        layer: name of the layer.
        number: of the layer, from 1; None in a SavedModel, which has no layers.
        label: low, mid or high of the published network; else the layer's name.
        variables: its arrays, in order.
        structure: a text that is equal for equal networks.
        write: writes it into a folder, to be read again.
        classify: pixels → class scores `[B, C]`, where the network ends in such; None elsewhere.
        num_classes: C of `classify`.
        pixels: how it takes its pixels, as far as the file tells.
        holder: what keeps its variables alive, and can be saved with them.
    """

    name: str
    sha256: str
    output: Callable[[Tensor], Tensor]
    input_shape: tuple[int | None, ...]
    output_shape: tuple[int, ...]
    layer: str
    number: int | None
    label: str
    variables: Sequence[Any]
    structure: str
    write: Callable[[pathlib.Path], None]
    classify: Callable[[Tensor], Tensor] | None
    num_classes: int | None
    pixels: str
    holder: Any

    def check_images(self, shape: Sequence[int], data: str) -> None:
        """InputError unless it takes images of that shape."""
        own = self.input_shape
        fits = len(own) == len(shape) and all(
            size is None or size == other for size, other in zip(own, shape, strict=True)
        )
        if not fits:
            takes, has = ("×".join(str(n or "any") for n in sizes) for sizes in (own, shape))
            raise InputError(
                f"extractor {self.name} takes {takes}, {data} has {has}; give one trained on {has}"
            )


def of_keras(
    path: pathlib.Path, model: keras.Model, layer: str | None, name: str | None = None
) -> Network:
    """The network of a Keras model up to a layer.

    Args:
        layer: a layer's name, or low, mid, high where the model has the 60 published layers; None:
            the last.
        name: of the file, for messages.

    Raises:
        InputError: no such layer, or one that cannot give features.
    """
    name = name or path.name
    image = _image_input(model, name)
    layers = [one for one in model.layers if not isinstance(one, keras.layers.InputLayer)]
    numbers = _numbers(layers)
    chosen = layers[-1].name if layer is None else layer
    published = vgg16.LAYERS if vgg16.is_published(layers) else {}
    number = numbers.get(chosen) or published.get(chosen)
    if number is None:
        raise InputError(_no_layer(name, chosen, layers, published))
    found = layers[number - 1]
    output = _output(found)
    shape = tuple(output.shape[1:])
    if None in shape or not shape:
        raise InputError(
            f"layer {found.name!r} gives {list(output.shape)}; choose one of fixed size"
        )
    cut = keras.Model(model.inputs[0], output, name=model.name)
    cut.trainable = model.trainable = False
    ends = tuple(model.outputs[0].shape) if len(model.outputs) == 1 else ()
    labels = {other: label for label, other in published.items()}
    return Network(
        name=name,
        sha256=sha256_of(path),
        output=lambda x: cut(x, training=False),
        input_shape=image,
        output_shape=shape,
        layer=found.name,
        number=number,
        label=labels.get(number, found.name),
        variables=[weight.value for weight in cut.weights],
        structure=re.sub(r', "shared_object_id": \d+', "", cut.to_json()),  # an address
        write=lambda folder: save_model(cut, folder / KERAS_FILE),
        classify=(lambda x: model(x, training=False)) if len(ends) == 2 else None,
        num_classes=ends[1] if len(ends) == 2 else None,
        pixels=GEIFMAN if model.name == vgg16.NAME else UNIT,
        holder=cut,
    )


KERAS_FILE, SAVED_FOLDER = "extractor.keras", "extractor"  # in a run folder


def _image_input(model: keras.Model, name: str) -> tuple[int | None, ...]:
    """The shape of the one image that the model takes."""
    if not getattr(model, "inputs", None):
        raise InputError(
            f"extractor {name} is a model in code, which cannot be cut at a layer; save a "
            "functional or a Sequential model"
        )
    if len(model.inputs) != 1:
        raise InputError(f"extractor {name} has {len(model.inputs)} inputs; expected one image")
    if any(getattr(one, "data_format", None) == "channels_first" for one in model.layers):
        raise InputError(f"extractor {name} is channels first; give one with channels last")
    return tuple(model.inputs[0].shape[1:])


def _numbers(layers: Sequence[keras.layers.Layer]) -> dict[str, int]:
    return {one.name: number for number, one in enumerate(layers, start=1)}


def _no_layer(
    name: str, asked: str, layers: Sequence[keras.layers.Layer], published: dict[str, int]
) -> str:
    aliases = ", ".join(f"{a} ({layers[number - 1].name})" for a, number in published.items())
    names = ", ".join(one.name for one in layers)
    return f"no layer {asked!r} in {name}; choose {aliases}{' or ' * bool(aliases)}one of {names}"


def _output(layer: keras.layers.Layer) -> Any:
    try:
        output = layer.output
    except AttributeError:  # of a layer that is called several times
        raise InputError(
            f"layer {layer.name!r} is used several times, so that it has no one output; choose "
            "another"
        ) from None
    if isinstance(output, list | tuple | dict):
        raise InputError(f"layer {layer.name!r} has {len(output)} outputs; choose one with one")
    return output


def save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Save a Keras model without a word of Keras'."""
    with warnings.catch_warnings():
        # Keras 3.15 passes TensorFlow's tensors to numpy 2 with a keyword that they do not know.
        warnings.simplefilter("ignore", DeprecationWarning)
        model.save(path)


def sha256_of(path: pathlib.Path) -> str:
    """The SHA-256 of a file, or of the names and contents of all files in a folder."""
    found = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            found.update(str(file.relative_to(path)).encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def arrays_of(network: Network) -> list[np.ndarray]:
    """The arrays of its variables, in order."""
    return [np.asarray(variable.numpy()) for variable in network.variables]
