"""Features of all images of a data set, computed once and kept on disk.

`<parent>/<file>_<layer>_<12 digits of the digest>/` holds train.npy, test.npy and features.json. A
pass that was stopped goes on: train.npy.partial has the rows done so far, and train.npy.done says
how many they are, written after them.
"""

import dataclasses
import os
import pathlib
import re
import shutil
from typing import Any

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError, StopRequested
from tf_deepbayes.core.files import digest, read_json, reserve, write_json
from tf_deepbayes.core.progress import progress, stop_requested, stopping_between_steps
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.splits import Split, to_pixels
from tf_deepbayes.models.fusion.extractor import Extractor
from tf_deepbayes.runs.state.lock import locked

CHUNK = 500  # images at a time
INFO = "features.json"
CACHED = "cache"  # in a run's settings: the digest of the features that it was trained on
SPLITS = ("train", "test")
# Where training on features has been seen to go well: mean squared deviation of a value, and the
# largest value.
USUAL_SPREAD, LARGE = (0.05, 1.0), 30.0


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """The features of a data set.

    Attributes:
        extractor: computes them; the files hold features before its scale.
        dataset: the images.
        parent: the folder that their folder is in.
        chunk: images computed at a time.
    """

    extractor: Extractor
    dataset: Dataset
    parent: pathlib.Path
    chunk: int = CHUNK

    @property
    def digest(self) -> str:
        """Of the extractor and of the images."""
        splits = (self.dataset.train, self.dataset.test)
        own = np.frombuffer(self.extractor.digest.encode(), np.uint8)
        return digest(own, *(split.images for split in splits))

    def folder(self, found: str | None = None) -> pathlib.Path:
        """Where they are.

        Args:
            found: their digest, if it is known.
        """
        network = self.extractor.network
        return self.parent / folder_name(network.name, network.layer, found or self.digest)

    def features(self) -> tuple[Dataset, dict[str, Any]]:
        """The data set with features in the place of images, and what is known of them.

        Returns:
            `(dataset, {"mean_squared_deviation", "largest", "digest"})`, of the training features
            times the extractor's scale.

        Raises:
            InputError: the disk is too small, a feature is not finite, or what is on disk is
                damaged or of another extractor.
            StopRequested: the process was asked to stop; finished rows are kept.
        """
        found = self.digest
        folder = self.folder(found)
        if not (folder / INFO).is_file():
            self._check_room(folder)
        with locked(folder / ".lock", f"the folder {folder}"):
            if not (folder / INFO).is_file():
                for name in SPLITS:
                    self._compute(folder, name, found)
                stats = statistics(np.load(folder / "train.npy", mmap_mode="r"))
                images = digest(self.dataset.train.images)
                write_json(folder / INFO, {"digest": found, "images": images, **stats})
        info = read_info(folder, found)
        scale, source = self.extractor.scale, self.dataset
        parts: dict[str, Any] = {}
        for name in SPLITS:
            split: Split = getattr(source, name)
            rows = read_features(folder, name, len(split), self.extractor.size)
            rows = rows if scale == 1.0 else rows * np.float32(scale)
            parts[name] = Split(rows, split.labels)
        scaled = {
            "mean_squared_deviation": info["mean_squared_deviation"] * scale**2,
            "largest": info["largest"] * scale,
            "digest": found,
        }
        return dataclasses.replace(source, **parts), scaled

    def _check_room(self, folder: pathlib.Path) -> None:
        rows = sum(len(getattr(self.dataset, name)) for name in SPLITS)
        # What an earlier process has left of them is part of it.
        done = sum(path.stat().st_blocks * 512 for path in folder.glob("*.npy*"))
        needed = rows * self.extractor.size * 4 - done
        existing = next(path for path in folder.resolve().parents if path.is_dir())
        free = shutil.disk_usage(existing).free
        if needed > free:
            raise InputError(
                f"features need {needed / 1e9:.1f} GB in {self.parent}, {free / 1e9:.1f} GB are "
                "free; give --cache or a layer with fewer values"
            )

    def _compute(self, folder: pathlib.Path, name: str, found: str) -> None:
        """One split, from the row where an earlier pass has stopped."""
        final = folder / f"{name}.npy"
        if final.is_file():
            return
        partial, sidecar = folder / f"{name}.npy.partial", folder / f"{name}.npy.done"
        images = getattr(self.dataset, name).images
        shape = (len(images), self.extractor.size)
        first = _rows_done(partial, sidecar, found, shape)
        mode: Any = "r+" if first else "w+"
        rows = np.lib.format.open_memmap(partial, mode, np.float32, shape)
        reserve(partial, partial.stat().st_size)
        starts = range(first, len(images), self.chunk)
        with stopping_between_steps():
            for start in progress(starts, len(starts), f"{name} features, chunks"):
                if stop_requested():
                    raise StopRequested(f"{start} finished rows are kept in {folder}")
                stop = min(start + self.chunk, len(images))
                rows[start:stop] = raw_features(self.extractor, images[start:stop])
                rows.flush()
                write_json(sidecar, {"digest": found, "rows": stop})
        del rows
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(final)
        sidecar.unlink(missing_ok=True)


def folder_name(file: str, layer: str, found: str) -> str:
    """Of features of a layer of a network, by its file's name and the features' digest."""
    return re.sub(r"[^\w.-]", "_", f"{pathlib.Path(file).stem}_{layer}_{found[:12]}")


def raw_features(extractor: Extractor, images: Array) -> Array:
    """Features `[N, |f|]` before the scale, of images as bytes or pixels; InputError for NaN."""
    network = extractor.network
    found = _compiled(extractor)(tf.constant(to_pixels(images))).numpy()
    bad = int((~np.isfinite(found)).any(1).sum())
    if bad:
        raise InputError(
            f"layer {network.layer} gives NaN for {bad} images; choose another layer, or other "
            "--pixels"
        )
    return found


def _compiled(extractor: Extractor) -> Any:
    """The raw features as one graph, kept by the extractor."""
    kept = extractor.__dict__
    if "_raw_graph" not in kept:
        x = tf.TensorSpec([None, *extractor.image_shape], tf.float32)
        kept["_raw_graph"] = tf.function(extractor.raw, input_signature=[x], autograph=False)
    return kept["_raw_graph"]


def _rows_done(
    partial: pathlib.Path, sidecar: pathlib.Path, found: str, shape: tuple[int, int]
) -> int:
    """How many rows of an earlier pass can be used."""
    try:
        said = read_json(sidecar)
        rows = np.load(partial, mmap_mode="r")
        is_same = said["digest"] == found and rows.shape == shape and rows.dtype == np.float32
        return int(said["rows"]) if is_same else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def statistics(features: Array) -> dict[str, float]:
    """Mean squared deviation of a value from its mean, over values, and the largest |value|."""
    total, squares, largest = 0.0, 0.0, 0.0
    for start in range(0, len(features), CHUNK):
        part = np.asarray(features[start : start + CHUNK], np.float64)
        total, squares = total + part.sum(0), squares + np.square(part).sum(0)
        largest = max(largest, float(np.abs(part).max()))
    mean = total / len(features)
    spread = float(np.mean(squares / len(features) - np.square(mean)))
    return {"mean_squared_deviation": max(spread, 0.0), "largest": largest}


def advice(info: dict[str, Any]) -> str:
    """A line on the scale of the features, with advice where training may go wrong."""
    spread, largest = info["mean_squared_deviation"], info["largest"]
    text = f"features: mean squared deviation {spread:.3g} per value, largest {largest:.3g}"
    low, high = USUAL_SPREAD
    if low <= spread <= high and largest <= LARGE:
        return text
    return (
        f"{text}; l2 is a Gaussian of variance 1/2 in these units, and training goes well with "
        f"{low:g} to {high:g} and at most {LARGE:g}: try another --feature_scale"
    )


def read_info(folder: pathlib.Path, found: str) -> dict[str, Any]:
    """What `features.json` says; InputError where it is of other features than `found`."""
    info = read_json(folder / INFO)
    kept = info.get("digest") if isinstance(info, dict) else None
    if kept != found:
        raise InputError(
            f"features in {folder} are of another extractor (digest {str(kept)[:4]}…, this one "
            f"{found[:4]}…); remove the folder or give the extractor that made them"
        )
    return info


def read_features(folder: pathlib.Path, name: str, count: int, size: int) -> Array:
    """The features of one split, `[count, size]`, mapped from disk."""
    try:
        rows = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        rows = np.zeros(0)
    if rows.shape != (count, size) or rows.dtype != np.float32:
        raise InputError(
            f"features in {folder} are damaged: expected {count}×{size} float32; remove the folder"
        )
    return rows
