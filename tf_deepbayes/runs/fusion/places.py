"""Where the extractor of a fusion model is, and which runs have the published names."""

import pathlib
import re

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models.fusion.extractor import Extractor
from tf_deepbayes.models.fusion.geifman import FILE
from tf_deepbayes.models.fusion.network import KERAS_FILE
from tf_deepbayes.models.fusion.vgg16 import LAYERS

VGG = "VGG"  # the folder of a data set's own VGG16, which train/vgg.py writes
CACHE = "features"  # the folder of a data set's features
PUBLISHED_MODELS = ("DBX", "GBZ", "GBY")  # letters E, G, F of the published scripts


def check_model(name: str) -> None:
    """InputError unless the model was published on features."""
    if name not in PUBLISHED_MODELS:
        raise InputError(f"{name} has no published form on features; choose DBX, GBZ or GBY")


def find_extractor(
    given: str | None, runs: pathlib.Path, data: str, data_dir: str | pathlib.Path | None
) -> pathlib.Path:
    """The file that is given, or the one in a usual place.

    Args:
        runs: folder of all runs.
        data: name of the data set.
        data_dir: folder to look for Geifman's weights in.

    Raises:
        InputError: nothing is given, and nothing is there.
    """
    if given is not None:
        return pathlib.Path(given)
    own = runs / data / VGG / KERAS_FILE
    places = [own, *([pathlib.Path(data_dir) / FILE] if data_dir else [])]
    for place in places:
        if place.is_file():
            return place
    raise InputError(
        f"no extractor: expected --features, {own} (train/vgg.py) or {FILE} in --data_dir"
    )


def layer_part(extractor: Extractor) -> str:
    """What a run's name says of its extractor: mid, or net_dense_1; with the scale, if it is not 1.

    The published names are those of low, mid and high of a VGG16 as published, of any width.
    """
    network = extractor.network
    stem = pathlib.Path(network.name).stem
    name = network.label if network.label in LAYERS else f"{stem}_{network.label}"
    scale = "" if extractor.scale == 1.0 else f"_scale{extractor.scale:g}"
    return re.sub(r"[^\w.-]", "_", name) + scale
