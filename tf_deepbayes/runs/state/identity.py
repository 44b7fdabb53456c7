"""What a result is of, apart from its settings: the weights, the images and the code."""

import dataclasses
import pathlib

import keras

from tf_deepbayes.core.files import digest
from tf_deepbayes.data.splits import Split
from tf_deepbayes.evaluation.result_names import parts_of
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.runs.checkpoints import versions
from tf_deepbayes.runs.naming.folders import DEFAULT_NUM_SAMPLES
from tf_deepbayes.runs.run import Run


def weights_digest(model: keras.Model) -> str:
    """A digest of the weights, equal for the same weights in the same order."""
    return digest(*model.get_weights())


def identity_of(model: keras.Model, images: Split) -> dict[str, str]:
    """What every result of a classifier on these images records and a later one must match."""
    return {
        "weights": weights_digest(model),
        "data": digest(images.images, images.labels),
        "version": versions()["tf_deepbayes"],
    }


def substitute_parts(name: str | None) -> list[str]:
    """What names of results say of the classifier whose gradients are followed."""
    return [f"substitute_{pathlib.Path(name).resolve().name}"] if name else []


def sampling_parts(run: Run) -> list[str]:
    """What names of results say of how the run is sampled, where it is not as published."""
    usual, sampling = Sampling(DEFAULT_NUM_SAMPLES), run.sampling
    if not (run.model.factors or run.config.model == "BNN"):  # K is nothing to the others
        usual = dataclasses.replace(usual, num_samples=sampling.num_samples)
    values, defaults = (
        {"K": of.num_samples, "mode": of.mode, "noise": of.noise, "seed": seed}
        for of, seed in ((sampling, run.seed), (usual, 0))
    )
    return parts_of(values, defaults)
