"""Fitted detectors as one JSON file: fitting needs a pass over the training images, reading none.

The file is a result of kind "thresholds": `settings` record how the detectors were fitted,
`figures` hold every fitted detector by name. Floats are written so that they are read back exactly.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest
from tf_deepbayes.data.splits import Split
from tf_deepbayes.detection import selection
from tf_deepbayes.detection.detectors import NOT_FITTED, Detector
from tf_deepbayes.detection.thresholds import check_rate
from tf_deepbayes.inference.noise import INDEPENDENT
from tf_deepbayes.runs import results
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.identity import weights_digest

KIND = "thresholds"
PUBLISHED = "published_fpr5"  # the paper's `FitSettings.kind`
SAMPLE = "sample"  # the published `Sampling.mode`
ADVICE = "fit the detectors again with detect/detect.py"


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """How detectors were fitted.

    Attributes:
        run: name of the guard's run folder.
        weights: digest of the guard's weights.
        num_samples: K of the guard's logits.
        seed: seed of the guard's noise.
        num_train: number of training images.
        false_positive_rate: the requested rate, in (0, 1).
        threshold: the kind of threshold.
        noise: how the K draws were made, see `Sampling.noise`.
        images: digest of the training images and labels; empty in files of earlier versions.
        mode: how z was sampled, see `Sampling.mode`.
    """

    run: str
    weights: str
    num_samples: int
    seed: int
    num_train: int
    false_positive_rate: float
    threshold: str
    noise: str = INDEPENDENT
    images: str = ""
    mode: str = SAMPLE

    @property
    def kind(self) -> str:
        """Kind of threshold and rate in percent, such as published_fpr5."""
        return f"{self.threshold}_fpr{100 * self.false_positive_rate:.6g}"

    @property
    def file_name(self) -> str:
        """The file's name: different settings of one run have different names."""
        scheme = "" if self.noise == INDEPENDENT else f"_{self.noise}"
        mode = "" if self.mode == SAMPLE else f"_{self.mode}"
        sizes = f"K{self.num_samples}{mode}{scheme}_n{self.num_train}_seed{self.seed}"
        return f"thresholds_{self.kind}_{sizes}.json"

    @property
    def said_mode(self) -> dict[str, str]:
        """The mode as results record it: only where it is not "sample", so that older ones hold."""
        return {} if self.mode == SAMPLE else {"mode": self.mode}

    def recorded(self) -> dict[str, Any]:
        """The settings as results record them."""
        values = dataclasses.asdict(self)
        return {name: v for name, v in values.items() if name != "mode"} | self.said_mode


def fit_settings(
    guard: Run, train: Split, seed: int, false_positive_rate: float, threshold: str
) -> FitSettings:
    """How `guards.fit` fits the guard's detectors, with the same arguments."""
    return FitSettings(
        run=guard.folder.name,
        weights=weights_digest(guard.model),
        num_samples=guard.sampling.num_samples,
        seed=seed,
        num_train=len(train),
        images=digest(train.images, train.labels),
        false_positive_rate=false_positive_rate,
        threshold=threshold,
        noise=guard.sampling.noise,
        mode=guard.sampling.mode,
    )


def missed_rate(detector: Detector, settings: FitSettings) -> float | None:
    """The rate on the training images (mean over classes) if it misses the requested one.

    The published search for α is limited to [0, 3], and tied scores make the rate jump. One image
    per class, or 0.01, is not a miss.
    """
    rates = np.asarray(detector.training_rates)
    slack = max(0.01, len(rates) / settings.num_train)
    found = float(rates.mean())
    return found if abs(found - settings.false_positive_rate) > slack else None


def as_dict(detector: Detector) -> dict[str, Any]:
    """A fitted detector as JSON values."""
    arrays = {name: getattr(detector, name) for name in detector.fitted_arrays}
    if any(array is None for array in arrays.values()):
        raise InputError(NOT_FITTED)
    return {
        "detector": detector.name,
        "threshold": detector.threshold,
        "false_positive_rate": detector.false_positive_rate,
        **{name: array.tolist() for name, array in arrays.items()},
    }


def from_dict(content: Mapping[str, Any]) -> Detector:
    """The fitted detector from `as_dict`, bit for bit; InputError for anything else."""
    try:
        detector = selection.make(content["detector"], content["threshold"])
        rate = float(content["false_positive_rate"])
        arrays = {n: np.array(content[n], np.float64) for n in detector.fitted_arrays}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"not a fitted detector ({error!r})") from None
    check_rate(rate)
    _check_arrays(arrays)
    detector.false_positive_rate = rate
    for name, array in arrays.items():
        setattr(detector, name, array)
    return detector


def _check_arrays(arrays: Mapping[str, Array]) -> None:
    num_classes = arrays["thresholds"].size
    for name, array in arrays.items():
        axes = 2 if name == "class_probabilities" else 1
        if not num_classes or array.shape != (num_classes,) * axes:
            raise InputError(f"{name} must have {axes} axes of length C, got {list(array.shape)}")
        if not np.isfinite(array).all():
            raise InputError(f"{name} must be finite, got NaN or infinite values")
    if (arrays["stds"] < 0).any():
        raise InputError("stds must be at least 0")
    rows = arrays.get("class_probabilities")
    if rows is not None and ((rows < 0).any() or not np.allclose(rows.sum(1), 1.0)):
        raise InputError("the rows of class_probabilities must be probabilities")


def write_detectors(
    path: pathlib.Path, config: RunConfig, settings: FitSettings, detectors: Mapping[str, Detector]
) -> None:
    """Write the fitted detectors of a guard atomically."""
    figures = {name: as_dict(detector) for name, detector in detectors.items()}
    results.write_result(path, KIND, config, settings.recorded(), figures)


def read_detectors(path: pathlib.Path) -> dict[str, Detector]:
    """The fitted detectors of a file, {name: detector}.

    Raises:
        InputError: the file is missing, damaged, or does not hold fitted detectors.
    """
    figures = results.read_result(path, KIND).get("figures")
    if not isinstance(figures, dict) or not figures:
        raise InputError(f"{path} holds no detectors; {ADVICE}")
    detectors = {}
    for name, content in figures.items():
        try:
            detectors[name] = from_dict(content)
        except InputError as error:
            raise InputError(f"{path}: detector {name!r}: {error}; {ADVICE}") from None
        if detectors[name].name != name:
            raise InputError(f"{path}: {name!r} holds a detector of another name; {ADVICE}")
    return detectors


def read_settings(path: pathlib.Path, data: str, **expected: Any) -> FitSettings:
    """How the detectors of a file were fitted.

    Args:
        data: the guard's data set.
        expected: `FitSettings` fields of the current guard, such as weights.

    Raises:
        InputError: not a file of fitted detectors, or fitted on another guard.
    """
    content = results.read_result(path, KIND)
    try:
        settings = FitSettings(**content["settings"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path} does not say what it was fitted with ({error}); {ADVICE}"
        ) from None
    found = {"data": content.get("data"), **dataclasses.asdict(settings)}
    for name, wanted in {"data": data, **expected}.items():
        if found[name] != wanted:
            raise InputError(
                f"{path} was fitted with {name} {found[name]} and the guard has {wanted}; "
                "use the guard's own file, or fit again without it"
            )
    return settings
