"""The command line of an extractor: which network, which layer, which pixels."""

import pathlib
from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.models.fusion.extractor import Extractor, read_extractor
from tf_deepbayes.models.fusion.pixels import CONVENTIONS
from tf_deepbayes.runs.fusion.places import CACHE, find_extractor
from tf_deepbayes.training.fusion.feature_runs import FeatureData

FLAGS = flags.FLAGS
NAMES = ("features", "layer", "pixels", "feature_scale", "cache")


def define(computes: bool = True) -> None:
    """The flags.

    Args:
        computes: the command computes features of a data set.
    """
    with group("Features"):
        text = "classify features of this network: .keras, .h5 or SavedModel (default: "
        app.define_path("features", None, text + "runs/<data>/VGG/extractor.keras)")
        flags.DEFINE_string("layer", None, "layer of --features: low, mid, high, or its name")
        text = "how the network takes pixels (default: geifman for the published VGG16, else unit)"
        flags.DEFINE_enum("pixels", None, list(CONVENTIONS), text)
        flags.DEFINE_float("feature_scale", None, "number that features are multiplied by (1)")
        if computes:
            text = "folder for computed features (default: runs/<data>/features)"
            app.define_path("cache", None, text)


def asked() -> bool:
    """Whether a model of features is meant."""
    return any(FLAGS[name].value is not None for name in NAMES if name in FLAGS)


def extractor(image_shape: Sequence[int], data: str) -> Extractor:
    """The extractor that the flags name, for images of that shape.

    Raises:
        InputError: it is nowhere, or not for such images, or --layer is missing.
    """
    if FLAGS.layer is None:
        raise InputError(
            "features need --layer: low, mid or high of a VGG16 as published, else a layer's name"
        )
    path = find_extractor(FLAGS.features, app.runs_folder(), data, FLAGS.data_dir)
    scale = 1.0 if FLAGS.feature_scale is None else FLAGS.feature_scale
    return read_extractor(path, FLAGS.layer, image_shape, data, FLAGS.pixels, scale)


def feature_data(dataset: Dataset, num_train: int | None) -> FeatureData:
    """The features that the flags name, of the images that are trained on."""
    own = extractor(dataset.train.images.shape[1:], dataset.name)
    cache = FLAGS.cache or app.runs_folder() / dataset.name / CACHE
    few = dataset.first_train(num_train)
    found = FeatureData(own, few, pathlib.Path(cache), insist=FLAGS.pixels is not None)
    found.check()
    return found
