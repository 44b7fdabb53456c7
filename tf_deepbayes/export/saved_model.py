"""A trained classifier as a SavedModel with named signatures (`signatures`), for any TensorFlow.

The folder is written completely or not at all. Next to the SavedModel, `metadata.json` describes
it: model, data, K, noise, pixels, every signature with its inputs and outputs, and the versions.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import (
    PathLike,
    check_room,
    read_json,
    write_folder_atomically,
    write_json,
)
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.export import onnx_model
from tf_deepbayes.export.signatures import Signatures
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.fusion.classifier import FusionClassifier, latent_of
from tf_deepbayes.runs import detector_files, guards, results
from tf_deepbayes.runs.detector_files import FitSettings
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.identity import weights_digest

KIND, METADATA = "export", "metadata.json"
CONVENTIONS = {
    "x": "float32 pixels in [0, 1]; of a signature …_uint8 bytes 0 … 255, divided by 255 inside",
    "noise": "num_samples draws, the same for every image, class and call, made from the seed; a "
    "signature …_seeded draws fresh noise for every sample, class and image from its input seed",
    "logits": "log p̂(x, y_c) in nats with every normalising constant, published_offset above the "
    "published values; of a model without p(x) log p(y_c|x) up to a constant of each image",
}


def check_free(folder: PathLike, overwrite: bool) -> None:
    """InputError unless the folder is free, or holds an export to be overwritten."""
    folder = pathlib.Path(folder)
    if not folder.exists():
        return
    if not overwrite:
        raise InputError(f"{folder} exists; pass --overwrite to replace it or another --out")
    metadata = folder / METADATA
    content = read_json(metadata) if metadata.is_file() else {}
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise InputError(
            f"{folder} is not an exported model, so it is not overwritten; pass another --out"
        )


def export(
    victim: Run,
    folder: PathLike,
    *,
    fitted: PathLike | None = None,
    block_size: int | None = None,
    overwrite: bool = False,
    onnx: bool = False,
) -> dict[str, Any]:
    """Write the SavedModel of a classifier and its metadata; returns the metadata.

    Args:
        victim: the classifier, its K and the seed of the noise in the model.
        folder: the folder to create.
        fitted: file of detectors fitted on this classifier, for the signature "detect".
        block_size: terms decoded at a time; None: the classifier's own.
        overwrite: replace an existing export.
        onnx: also write the logits as model.onnx (see `onnx_model`).

    Raises:
        InputError: the folder exists, the detectors belong to another classifier, a setting is
            out of range, or a requirement of --onnx is missing.
    """
    check_free(folder, overwrite)
    if victim.sampling.race is not None:
        raise InputError("an exported classifier has the same draws for all; leave race out")
    if onnx:
        onnx_model.check_possible(victim.model)
    if block_size is not None:
        _set_block_size(victim, block_size)
    detectors, settings = guards.read(victim, pathlib.Path(fitted)) if fitted else ({}, None)
    server = Signatures(
        victim.model, victim.sampling.num_samples, victim.seed, detectors, victim.sampling.scheme
    )
    signatures = server.signatures()
    metadata = _metadata(server, victim, signatures, settings)

    def write(temporary: pathlib.Path) -> None:
        # Saving takes long, and TensorFlow prints more than a line if it cannot write.
        check_room(temporary, sum(weight.nbytes for weight in victim.model.get_weights()))
        _save(server, signatures, temporary)
        if onnx:
            metadata["onnx"] = onnx_model.write(server, temporary / onnx_model.FILE)
        write_json(temporary / METADATA, metadata)

    write_folder_atomically(folder, write, overwrite)
    return metadata


def _set_block_size(victim: Run, block_size: int) -> None:
    if not isinstance(latent_of(victim.model), LatentClassifier):
        raise InputError(f"--block_size does not apply to {victim.config.model}; leave it out")
    victim.model.block_size = check_count("block_size", block_size)


def _save(server: Signatures, signatures: Mapping[str, Any], folder: pathlib.Path) -> None:
    # Only the variables are taken from Keras, so that loading the model does not need Keras.
    module, model = tf.Module(), server.model
    module.weights = [weight.value for weight in latent_of(model).weights]
    if isinstance(model, FusionClassifier):
        module.extractor_weights = list(model.extractor.network.variables)
        if not isinstance(model.extractor.network.holder, keras.Model):
            module.extractor = model.extractor.network.holder  # a SavedModel's tables and files
    tf.saved_model.save(module, str(folder), signatures=dict(signatures))


def _metadata(
    server: Signatures, victim: Run, signatures: Mapping[str, Any], fitted: FitSettings | None
) -> dict[str, Any]:
    model, config = server.model, victim.config
    of_latent: dict[str, Any] = {}
    if config.extractor is not None:
        of_latent["extractor"] = config.extractor
    if isinstance(model, LatentClassifier | FusionClassifier):
        of_latent |= {"block_size": model.block_size, "published_offset": model.published_offset}
    detectors = {name: detector_files.as_dict(d) for name, d in server.detectors.items()}
    return {
        "kind": KIND,
        "model": config.model,
        "data": config.data,
        "architecture": dataclasses.asdict(config.architecture),
        "likelihood": config.likelihood,
        "run": victim.folder.name,
        "weights": weights_digest(model),
        "num_samples": server.num_samples if server.model.is_random else None,
        "seed": server.seed if server.model.is_random else None,
        "noise": victim.recorded_scheme,
        **of_latent,
        "conventions": CONVENTIONS,
        "signatures": {name: _describe(signature) for name, signature in signatures.items()},
        "detectors": detectors,
        "fitted": None if fitted is None else dataclasses.asdict(fitted),
        "provenance": results.provenance(),
    }


def _describe(signature: Any) -> dict[str, Any]:
    """Inputs and outputs by name, with type and shape; an axis of any length is null."""
    outputs = signature.get_concrete_function().structured_outputs
    spec = lambda t: {"dtype": t.dtype.name, "shape": t.shape.as_list()}  # noqa: E731
    return {
        "inputs": {value.name: spec(value) for value in signature.input_signature},
        "outputs": {name: spec(value) for name, value in outputs.items()},
    }
