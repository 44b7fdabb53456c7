"""New runs of fusion models: the features, what the folder says, its extractor, the training."""

import contextlib
import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import keras

from tf_deepbayes.core.architecture import FUSION
from tf_deepbayes.core.files import PathLike
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.models.fusion.extractor import (
    ACCURACY_IMAGES,
    Extractor,
    check_accuracy,
    read_extractor,
)
from tf_deepbayes.models.fusion.network import save_model
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.fusion.feature_cache import CACHED, FeatureCache, advice
from tf_deepbayes.runs.fusion.places import CACHE, check_model, layer_part
from tf_deepbayes.runs.naming.folders import run_name
from tf_deepbayes.runs.run import Run
from tf_deepbayes.training.new_runs import run_config, settled, train_run
from tf_deepbayes.training.settings import TrainingSettings


def feature_config(config: RunConfig, extractor: Extractor, dim_z: int | None = None) -> RunConfig:
    """The configuration of a run on features, from that of the same run on images.

    Args:
        dim_z: size of z; None: the published 128.

    Raises:
        InputError: the model, or the networks of the paper's text, have no form on features.
    """
    check_model(config.model)
    changes: dict[str, Any] = {} if dim_z is None else {"dim_z": dim_z}
    sizes = FUSION.replace(
        input_shape=(extractor.size,),
        num_classes=config.architecture.num_classes,
        networks=config.architecture.networks,
        **changes,
    )
    return dataclasses.replace(config, architecture=sizes, extractor=extractor.settings())


@dataclasses.dataclass(frozen=True)
class FeatureData:
    """The images of a data set and their features, computed when they are first asked for.

    Attributes:
        extractor: gives the features.
        dataset: the images.
        cache: the folder that the folders of features are in.
        insist: the user said how the network takes its pixels, so that a low accuracy is accepted.
        say: called with one line of text at a time.
    """

    extractor: Extractor
    dataset: Dataset
    cache: pathlib.Path
    insist: bool = False
    say: Callable[[str], None] = print

    def check(self) -> None:
        """InputError where the network itself is at chance, as it is on other pixels."""
        train = self.dataset.train
        few = train.first(min(ACCURACY_IMAGES, len(train)))
        line = check_accuracy(self.extractor, few.pixels, few.labels, self.insist)
        if line is not None:
            self.say(line)

    @functools.cached_property
    def features(self) -> tuple[Dataset, str]:
        """The data set with features in the place of images, and their digest; says their scale."""
        found, info = FeatureCache(self.extractor, self.dataset, self.cache).features()
        self.say(advice(info))
        sizes = FUSION.replace(
            input_shape=(self.extractor.size,),
            num_classes=self.dataset.architecture.num_classes,
        )
        return dataclasses.replace(found, sizes=sizes), info["digest"]

    def train(
        self,
        config: RunConfig,
        settings: TrainingSettings,
        folder: PathLike,
        resume: bool = False,
        devices: int | None = None,
        jit_compile: bool = False,
    ) -> bool:
        """Train a run of `feature_config`; arguments and result as of `train_run`."""
        data, found = self.features
        test = self.dataset.test.first(min(ACCURACY_IMAGES, len(self.dataset.test)))
        accuracy = self.extractor.own_accuracy(test.pixels, test.labels)
        own = {**(config.extractor or {}), CACHED: found, "test_accuracy": accuracy}
        config = dataclasses.replace(config, extractor=own)
        how = resume, devices, jit_compile, self.extractor
        return train_run(config, data, settings, folder, *how)


def train_on_features(
    name: str,
    data: Dataset,
    network: keras.Model | PathLike,
    layer: str,
    settings: TrainingSettings | None = None,
    folder: PathLike | None = None,
    *,
    pixels: str | None = None,
    feature_scale: float = 1.0,
    cache: PathLike | None = None,
) -> Run:
    """Train a deep Bayes classifier on the features of a frozen network, or go on with the run.

    Args:
        name: GBZ, GBY or DBX.
        data: the images.
        network: a Keras model, or a file as for `--features`; it is copied into the folder.
        layer: name of the layer that gives features; low, mid or high of a VGG16 as published.
        settings: the published ones when None.
        folder: `runs/<data>/<name>_<network>_<layer>` when None.
        pixels: how the network takes its pixels, "unit", "bytes" or "geifman"; None: as its file
            says, else "unit".
        feature_scale: number that features are multiplied by.
        cache: folder for computed features; `runs/<data>/features` when None.

    Returns:
        The `Run`, which classifies images.

    Raises:
        InputError: no such layer, a network for other images, or one that is at chance itself.
    """
    check_model(name)
    shape, runs = data.train.images.shape[1:], pathlib.Path("runs") / data.name
    with contextlib.ExitStack() as stack:
        path = network
        if isinstance(network, keras.Model):
            place = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            path = place / f"{network.name}.keras"
            save_model(network, path)
        own = pathlib.Path(path)
        extractor = read_extractor(own, layer, shape, data.name, pixels, feature_scale)
    features = FeatureData(extractor, data, pathlib.Path(cache or runs / CACHE), pixels is not None)
    features.check()
    folder = pathlib.Path(folder or runs / run_name(name, None, layer_part(extractor)))
    settings = settled(settings or TrainingSettings.for_data(data.name), name, folder, 0)
    config = feature_config(run_config(name, data, settings), extractor)
    features.train(config, settings, folder, resume=True)
    return Run.load(folder)
