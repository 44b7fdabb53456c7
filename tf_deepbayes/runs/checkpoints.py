"""A run folder: `config.json` describes the model, `checkpoint.npz` holds its weights.

The checkpoint is one file of named arrays, replaced atomically: weights
(`weights/<layer>/<index>`), optimizer state (`optimizer/<index>`) and the number of epochs done.
"""

import dataclasses
import functools
import importlib.metadata
import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import (
    PathLike,
    read_arrays,
    read_json,
    write_atomically,
    write_folder_atomically,
    write_json,
)
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.models import registry
from tf_deepbayes.models.fusion import extractor as extractors
from tf_deepbayes.models.fusion.classifier import FusionClassifier
from tf_deepbayes.models.fusion.extractor import Extractor

CONFIG, CHECKPOINT, HISTORY = "config.json", "checkpoint.npz", "history.csv"
TRAINED = "trained.json"  # written last, see `state.trained`
FOREIGN = "keras"  # kind of training: none of ours
KINDS: dict[str, Any] = {
    **{"data": str, "likelihood": str | None, "training": dict, "extractor": dict | None},
}
# What of an extractor has to be the same when a run is resumed.
OF_THE_EXTRACTOR = ("layer", "pixels", "feature_scale")
IMPORTED = "imported_from"  # in `RunConfig.training`: a checkpoint without optimizer state


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """What a run folder's model is and where it comes from.

    Attributes:
        model: name of the factorisation or baseline.
        data: name of the data set.
        likelihood: name of p(x|·); None for a baseline.
        training: the training settings, or where it was imported from.
        extractor: of a fusion model, whose classifier sees features: `Extractor.settings`, and the
            SHA-256 of the extractor in the folder. None for a classifier of images.
    """

    model: str
    data: str
    architecture: Architecture
    likelihood: str | None
    seed: int
    training: dict[str, Any]
    extractor: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.is_foreign:
            registry.check_name(self.model)
        check_count("seed", self.seed, minimum=0)
        for name, kind in KINDS.items():
            if not isinstance(getattr(self, name), kind):
                raise InputError(f"{name} cannot be {getattr(self, name)!r}")
        if self.extractor is not None:
            extractors.check_settings(self.extractor)

    @property
    def is_foreign(self) -> bool:
        """Whether it is a person's own model, which the registry cannot build."""
        return isinstance(self.training, dict) and self.training.get("kind") == FOREIGN

    def settings(self) -> dict[str, Any]:
        """Every field by name, including those of the architecture and the training."""
        fields = dataclasses.asdict(self)
        extractor = fields.pop("extractor")
        if extractor is not None:
            fields |= {name: extractor[name] for name in OF_THE_EXTRACTOR}
            fields["extractor"] = extractor["digest"][:12]
        return {**fields.pop("architecture"), **fields.pop("training"), **fields}

    def build(self) -> registry.Classifier:
        """A new classifier with the seed's initial weights; of features, in a fusion model."""
        return registry.build(self.model, self.architecture, self.likelihood, self.seed)


def versions() -> dict[str, str]:
    """Versions of the libraries that results depend on."""
    names = ("tf_deepbayes", "keras", "tensorflow-probability", "numpy", "cleverhans")
    found = {"tensorflow": tf.version.VERSION}  # its package has one of several names
    return found | {name: _version(name) for name in names}


@functools.cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed as a package"


def save_config(folder: PathLike, config: RunConfig) -> None:
    """Write `config.json`."""
    content = dataclasses.asdict(config)
    if config.extractor is None:
        del content["extractor"]  # as in the folders of earlier versions
    write_json(pathlib.Path(folder, CONFIG), {**content, "versions": versions()})


def load_config(folder: PathLike) -> RunConfig:
    """Read `config.json`; InputError when the folder is not a run folder."""
    if not pathlib.Path(folder, CONFIG).is_file():
        raise InputError(
            f"{folder} is not a run folder: expected {CONFIG} in it; train one with train/vae.py"
        )
    content = read_json(pathlib.Path(folder, CONFIG))
    try:
        content = {"extractor": None, **content}
        fields = {field.name: content[field.name] for field in dataclasses.fields(RunConfig)}
        fields["architecture"] = Architecture.from_dict(fields["architecture"])
        return RunConfig(**fields)
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(
            f"{pathlib.Path(folder, CONFIG)} is not a run's configuration: {error!r}"
        ) from None


def create(
    folder: PathLike,
    config: RunConfig,
    model: registry.Classifier,
    extractor: Extractor | None = None,
) -> None:
    """Make a run folder atomically: complete or not at all.

    Args:
        extractor: of a fusion model.

    Raises:
        InputError: the folder already holds a run.
    """
    if pathlib.Path(folder, CONFIG).exists():
        raise InputError(f"{folder} holds a run; give another --out, or move it away")

    def write(temporary: pathlib.Path) -> None:
        save(temporary, model)
        own = None if extractor is None else extractors.stored_settings(extractor, temporary)
        save_config(temporary, dataclasses.replace(config, extractor=own))

    try:
        write_folder_atomically(folder, write)
    except OSError as error:
        raise InputError(f"cannot write {folder} ({error.strerror}); give another --out") from None


def save(
    folder: PathLike,
    model: registry.Classifier,
    optimizer: keras.optimizers.Optimizer | None = None,
    epoch: int = 0,
) -> None:
    """Write the checkpoint atomically."""
    arrays = {name: v.numpy() for name, v in _variables(model, optimizer).items()}
    write_atomically(
        pathlib.Path(folder, CHECKPOINT),
        lambda file: np.savez(file, epoch=np.int64(epoch), **arrays),
    )


def restore(
    folder: PathLike,
    model: registry.Classifier,
    optimizer: keras.optimizers.Optimizer | None = None,
) -> int:
    """Load the checkpoint if there is one, all or nothing; returns the epochs done (0 if none)."""
    path = pathlib.Path(folder, CHECKPOINT)
    if not path.is_file():
        return 0
    arrays = read_arrays(path, "restore it or train again")
    targets = _variables(model, optimizer)
    for name, variable in targets.items():
        _check_array(path, name, arrays.get(name), variable)
    if "epoch" not in arrays or arrays["epoch"].dtype.kind != "i" or arrays["epoch"].ndim:
        raise InputError(f"{path} is not a checkpoint: expected a whole number 'epoch' in it")
    left_over = {n for n in arrays if n.startswith("weights/")} - set(targets)
    if left_over:
        raise InputError(
            f"{path} does not match the architecture: unexpected weights {sorted(left_over)[:3]}"
        )
    for name, variable in targets.items():
        variable.assign(arrays[name])
    return int(arrays["epoch"])


def _check_array(
    path: pathlib.Path, name: str, found: Array | None, variable: keras.Variable
) -> None:
    shape = list(variable.shape)
    if found is None or list(found.shape) != shape:
        raise InputError(
            f"{path} does not match the architecture: expected {name} of shape {shape}, got "
            f"{'nothing' if found is None else list(found.shape)}; use the folder's own {CONFIG}"
        )
    if found.dtype != variable.dtype or not np.isfinite(found).all():
        raise InputError(
            f"{path} is damaged: expected finite {variable.dtype} in {name}, got {found.dtype}"
            f"{' with values that are not' if found.dtype == variable.dtype else ''}; "
            "restore it or train again"
        )


def load_model(folder: PathLike) -> tuple[registry.Classifier, RunConfig]:
    """The trained classifier of a run folder, and its configuration."""
    config = load_config(folder)
    if not pathlib.Path(folder, CHECKPOINT).is_file():
        raise InputError(f"{folder} holds no {CHECKPOINT} yet; train at least one epoch")
    extractor = None
    if config.extractor is not None:
        extractor = extractors.load(pathlib.Path(folder), config.extractor)
    model = config.build()
    restore(folder, model)
    return (FusionClassifier(model, extractor) if extractor else model), config  # type: ignore


def _variables(
    model: registry.Classifier, optimizer: keras.optimizers.Optimizer | None
) -> dict[str, keras.Variable]:
    """Name in the file → variable; the learning rate is a setting of the run, not state."""
    found = {
        f"weights/{layer.name}/{index}": weight
        for layer in model.layers
        for index, weight in enumerate(layer.weights)
    }
    for index, variable in enumerate(optimizer.variables if optimizer else []):
        if variable.name != "learning_rate":
            found[f"optimizer/{index}"] = variable
    return found
