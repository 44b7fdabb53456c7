"""Training images for the detectors of a fusion model: their features, where these are on disk."""

import dataclasses
import functools
import pathlib

import numpy as np

from tf_deepbayes.core.axes import Array, LogitsFn
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest
from tf_deepbayes.data.splits import Split
from tf_deepbayes.models.fusion.classifier import FusionClassifier
from tf_deepbayes.runs.fusion.feature_cache import (
    CACHED,
    folder_name,
    read_features,
    read_info,
)
from tf_deepbayes.runs.fusion.places import CACHE
from tf_deepbayes.runs.run import Run


def fitting_inputs(guard: Run, train: Split) -> tuple[LogitsFn, Array]:
    """A function and what it maps to the guard's logits of the training images.

    Those are the logits of pixels, or of features that training has left on disk, which saves the
    pass of the extractor.
    """
    model = guard.model
    if isinstance(model, FusionClassifier):
        features = _cached(guard, model, train)
        if features is not None:
            fresh = dataclasses.replace(guard.sampling, seed=None)
            return functools.partial(model.latent.logits, sampling=fresh), features
    return guard.logits_fn, train.pixels


def _cached(guard: Run, model: FusionClassifier, train: Split) -> Array | None:
    """The features of these images, times their scale; None where they are not on disk."""
    said = guard.config.extractor or {}
    found, extractor = str(said.get(CACHED)), model.extractor
    parent = pathlib.Path(guard.folder).parent / CACHE
    folder = parent / folder_name(said.get("file", ""), said.get("layer", ""), found)
    try:
        info = read_info(folder, found)
        if info.get("images") != digest(train.images):
            return None
        rows = read_features(folder, "train", len(train), extractor.size)
    except InputError:
        return None
    return rows if extractor.scale == 1.0 else rows * np.float32(extractor.scale)
