"""New runs of fusion models: the features, what the folder says, its extractor, the training."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

from tf_deepbayes.core.architecture import FUSION
from tf_deepbayes.core.files import PathLike
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.models.fusion.extractor import ACCURACY_IMAGES, Extractor, check_accuracy
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.fusion.feature_cache import CACHED, FeatureCache, advice
from tf_deepbayes.runs.fusion.places import check_model
from tf_deepbayes.training.new_runs import train_run
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
