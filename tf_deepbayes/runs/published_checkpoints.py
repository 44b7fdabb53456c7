"""Import published checkpoints as run folders, and export run folders as published checkpoints."""

import hashlib
import pathlib

import numpy as np

from tf_deepbayes.core.architecture import CODE, Architecture
from tf_deepbayes.core.array_pickle import read_array_pickle, write_array_pickle
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data import datasets
from tf_deepbayes.legacy import published_names, variables
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.fusion.classifier import latent_of
from tf_deepbayes.models.fusion.extractor import Extractor
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.naming.folders import run_name


def read_checkpoint(path: pathlib.Path) -> dict[str, Array]:
    """{variable name: array} of a published checkpoint, `save/…/checkpoint_0.pkl`.

    Raises:
        InputError: not a pickle of a dictionary of arrays; no code in it is run.
    """
    params = read_array_pickle(path)
    for name, value in params.items():
        if not isinstance(value, np.ndarray):
            kind = type(value).__name__
            raise InputError(
                f"{path} is not a published checkpoint: expected {name[:60]!r} to be an array, "
                f"got {kind}"
            )
    return params


def import_checkpoint(
    path: pathlib.Path,
    letter: str,
    data_name: str,
    likelihood: str = "l2",
    extractor: Extractor | None = None,
) -> tuple[LatentClassifier, checkpoints.RunConfig]:
    """The model in a published checkpoint and the configuration of its run folder.

    Args:
        letter: A … G, or the name of the factorisation.
        data_name: the data set it was trained on.
        likelihood: the likelihood it was trained with, which the arrays do not record; published
            checkpoints use l2.
        extractor: gives the features that a fusion model was trained on.

    Raises:
        InputError: damaged, or it does not match the letter, likelihood or data set.
    """
    params = read_checkpoint(path)
    try:
        model = variables.model_from_params(params, letter, likelihood)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    _check_data(path, model.architecture, data_name, extractor)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    origin = {checkpoints.IMPORTED: path.name, "imported_sha256": digest}
    name = type(model).__name__
    return model, checkpoints.RunConfig(
        *(name, data_name, model.architecture, likelihood, model.seed, origin),
        None if extractor is None else extractor.settings(),
    )


def _check_data(
    path: pathlib.Path, found: Architecture, data_name: str, extractor: Extractor | None
) -> None:
    wanted = datasets.architecture(data_name)
    if extractor is None and not found.is_image and found.num_classes == wanted.num_classes:
        raise InputError(
            f"{path} is of {found.num_pixels} features; give --layer, and the network that they "
            "are of, --features"
        )
    if extractor is not None:
        if found.is_image or found.num_pixels != extractor.size:
            raise InputError(
                f"{path} is of inputs {list(found.input_shape)}, layer {extractor.network.layer} "
                f"of {extractor.network.name} gives {extractor.size} values; give the --layer that "
                "it was trained on"
            )
        wanted = wanted.replace(input_shape=found.input_shape, channels=())
    if (found.input_shape, found.num_classes) != (wanted.input_shape, wanted.num_classes):
        raise InputError(
            f"{path} is of inputs {list(found.input_shape)} in {found.num_classes} classes, "
            f"{data_name} has {list(wanted.input_shape)} in {wanted.num_classes}; "
            "give the data set that it was trained on"
        )


def default_run_name(config: checkpoints.RunConfig, layer: str | None = None) -> str:
    """The name victims are looked up by: GFZ, or GFZ_Z32 if z does not have the published size.

    Args:
        layer: what it says of the extractor of a fusion model, see `fusion.places.layer_part`.
    """
    dim_z = config.architecture.dim_z
    is_published = dim_z == datasets.architecture(config.data).dim_z
    networks = config.architecture.networks
    return run_name(config.model, None if is_published else dim_z, layer, networks)


def export_checkpoint(folder: pathlib.Path, path: pathlib.Path) -> str:
    """Write a run's weights in the published format; returns the model's letter.

    Raises:
        InputError: not a run, a model that was never published, or a file that exists.
    """
    if path.exists():
        raise InputError(f"{path} exists; give another --out, or move it away")
    found, config = checkpoints.load_model(folder)
    model = latent_of(found)
    if not isinstance(model, LatentClassifier):
        raise InputError(
            f"{folder} holds a {config.model}; expected one of "
            f"{', '.join(published_names.LETTERS.values())}"
        )
    if config.architecture.networks != CODE:
        raise InputError(
            f"{folder} has the networks of the paper's {config.architecture.networks}, which no "
            "published checkpoint has; export it with deepbayes export"
        )
    params = variables.params_from_model(model)
    try:
        write_array_pickle(path, params)
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror}); give another --out") from None
    (letter,) = [key for key, name in published_names.LETTERS.items() if name == config.model]
    return letter
