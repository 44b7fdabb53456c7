"""New runs: what the folder of a classifier says, and how it is trained."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

from tf_deepbayes.core.architecture import CODE, Architecture
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import PathLike
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.origins import origin_of
from tf_deepbayes.data.splits import Split
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.models.baselines import BASELINES
from tf_deepbayes.models.fusion.extractor import Extractor
from tf_deepbayes.models.registry import Classifier, check_name, published_sizes
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.fusion.stored import with_extractor
from tf_deepbayes.runs.naming.folders import run_name
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.trained import EARLIER, training
from tf_deepbayes.training import train as loop
from tf_deepbayes.training.settings import BOUND_SETTINGS, TrainingSettings
from tf_deepbayes.training.strategies import is_chief, training_strategy

# Settings that a resumed run may change: they say how long, how to watch and how to compute, not
# what is computed.
CHANGEABLE = ("epochs", "eval_every", "jit_compile", "mixed_precision", "data_path")
# What only the bound has: baselines are trained by cross-entropy.
OF_THE_BOUND = ("likelihood", "dim_z", *BOUND_SETTINGS)


def settled(
    settings: TrainingSettings, model: str, folder: PathLike, usual: int | None = None
) -> TrainingSettings:
    """The settings with a KL warm-up: as given, as the run in the folder has it, or the model's.

    Args:
        usual: steps in the place of the model's.
    """
    if settings.kl_warm_up is not None:
        return settings
    steps = settings.warm_up_of(model) if usual is None else usual
    if pathlib.Path(folder, checkpoints.CONFIG).is_file():
        found = EARLIER | checkpoints.load_config(folder).training
        steps = found["kl_warm_up"]
    return dataclasses.replace(settings, kl_warm_up=steps)


def run_config(
    model: str,
    dataset: Dataset,
    settings: TrainingSettings,
    num_train: int | None = None,
    likelihood: str | None = None,
    dim_z: int | None = None,
    architecture: str = CODE,
    computing: Mapping[str, bool] | None = None,
) -> RunConfig:
    """What the folder of a new run says.

    Args:
        model: name of the factorisation or baseline.
        num_train: train on the first images only.
        likelihood: of p(x|·), l2 when None.
        dim_z: size of z, the data set's when None.
        architecture: "code" or "text", see `Architecture.networks`.
        computing: precision settings that are on.

    Raises:
        InputError: an MLP with the networks of the text.
    """
    if model == "MLP" and architecture != CODE:
        raise InputError(
            "--architecture does not apply to MLP, it has no convolutions; leave it out"
        )
    changes = {} if dim_z is None else {"dim_z": dim_z}
    settled = dataclasses.asdict(settings) | {"num_train": num_train} | dict(computing or {})
    settled |= origin_of(dataset)
    if model in BASELINES:
        settled = {name: value for name, value in settled.items() if name not in OF_THE_BOUND}
    form = None if model in BASELINES else likelihood or "l2"
    sizes = dataset.architecture.replace(networks=architecture, **changes)
    sizes = published_sizes(model, sizes)
    return RunConfig(model, dataset.name, sizes, form, settings.seed, settled)


def with_earlier_sizes(config: RunConfig, dataset: Dataset, folder: pathlib.Path) -> RunConfig:
    """The configuration with the sizes of the BNN of earlier versions, if the folder holds one.

    Earlier versions trained it with the sizes of the deep Bayes classifiers.
    """
    if config.model != "BNN" or not (folder / checkpoints.CONFIG).is_file():
        return config
    found = checkpoints.load_config(folder).architecture
    is_earlier = found == dataset.architecture and config.architecture.networks == CODE
    return dataclasses.replace(config, architecture=found) if is_earlier else config


def train_run(
    config: RunConfig,
    dataset: Dataset,
    settings: TrainingSettings,
    folder: PathLike,
    resume: bool = False,
    devices: int | None = None,
    jit_compile: bool = False,
    extractor: Extractor | None = None,
) -> bool:
    """Train a new run, or go on with the one in the folder.

    Args:
        config: that of `run_config` with the same settings.
        devices: GPUs to use; see `training_strategy`.
        extractor: what has made the features in `dataset`; it is kept in the folder.

    Returns:
        Whether anything was left to train.

    Raises:
        InputError: the folder holds a run of other settings, or one that is not to be resumed, or
            another process trains in it.
    """
    config = with_earlier_sizes(config, dataset, pathlib.Path(folder)) if resume else config
    images = dataset.train.first(config.training["num_train"])
    settings.steps_per_epoch(len(images))
    strategy = training_strategy(devices)
    settings.check_devices(strategy.num_replicas_in_sync)
    with strategy.scope():
        model = config.build()
    train = functools.partial(loop.train, model, images, dataset.test, settings, folder)
    if not is_chief(strategy):
        train(jit_compile=jit_compile)
        return True
    if extractor is not None:
        config = with_extractor(pathlib.Path(folder), config, extractor)
    with training(pathlib.Path(folder), config, settings.epochs, resume, CHANGEABLE) as anything:
        if anything:
            train(jit_compile=jit_compile)
    return anything


def train(
    model: Classifier | str,
    data: Dataset | Split,
    settings: Any = None,
    folder: Any = None,
    *earlier: Any,
    **options: Any,
) -> Any:
    """Train a classifier in a run folder, or continue the run that is there.

    Args:
        model: a classifier, or its name: GFZ … GBY, MLP, CNN, BNN.
        data: the data set. (For one release also a training `Split`, followed by what
            `training.train.train` takes, whose result it then is.)
        settings: `TrainingSettings`; the published ones when None.
        folder: `runs/<data>/<model>` when None, with `_text` for the networks of the text.

    Returns:
        The `Run`.

    Raises:
        InputError: the data does not fit the classifier, or the folder holds a run of other
            settings.
    """
    if isinstance(data, Split):
        return loop.train(model, data, settings, folder, *earlier, **options)  # type: ignore[arg-type]
    name = check_name(model if isinstance(model, str) else type(model).__name__)
    networks = CODE if isinstance(model, str) else model.architecture.networks
    default = pathlib.Path("runs") / data.name / run_name(name, None, networks=networks)
    folder = pathlib.Path(folder or default)
    settings = settled(settings or TrainingSettings.for_data(data.name), name, folder)
    config = run_config(name, data, settings)
    if isinstance(model, str):
        train_run(config, data, settings, folder, resume=True, **options)
        return Run.load(folder)
    likelihood = model.likelihood.name if model.factors else None
    own: dict[str, Any] = {
        "architecture": model.architecture,
        "likelihood": likelihood,
        "seed": model.seed,
    }
    config = dataclasses.replace(config, **own)
    _check_fits(config.architecture, data)
    with training(folder, config, settings.epochs, True, CHANGEABLE):
        loop.train(model, data.train, data.test, settings, folder, **options)
    return Run(folder, config, model, Sampling())


def _check_fits(architecture: Architecture, data: Dataset) -> None:
    given = architecture.input_shape, architecture.num_classes
    wanted = data.architecture.input_shape, data.architecture.num_classes
    if given != wanted:
        raise InputError(
            f"the classifier takes x {list(given[0])} of {given[1]} classes and {data.name} has "
            f"{list(wanted[0])} of {wanted[1]}; build it with data.architecture"
        )
