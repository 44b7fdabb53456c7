"""Fit a guard's detectors on its training images and score a saved attack with them."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.splits import Split
from tf_deepbayes.detection import selection
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.detection.figures import detection_figures
from tf_deepbayes.runs import detector_files
from tf_deepbayes.runs.detector_files import FitSettings
from tf_deepbayes.runs.run import Run


def has_p_x(guard: Run) -> bool:
    """Whether the guard's logits are log p̂(x, y_c); plain classifiers do not say and have none."""
    return bool(getattr(guard.model, "has_p_x", False))


def fit(
    guard: Run,
    train: Split,
    seed: int,
    false_positive_rate: float,
    threshold: str,
    batch_size: int,
) -> tuple[dict[str, Detector], FitSettings]:
    """Every detector that the guard allows, fitted on its logits of the training images.

    Args:
        guard: a freshly loaded one: what it has drawn before decides the noise drawn here.
        seed: what the guard was loaded with, for the record.
    """
    settings = FitSettings(
        run=guard.folder.name,
        weights=detector_files.weights_digest(guard.model),
        num_samples=guard.sampling.num_samples,
        seed=seed,
        num_train=len(train),
        false_positive_rate=false_positive_rate,
        threshold=threshold,
        noise=guard.sampling.scheme,
    )
    logits = metrics.predict(guard.logits_fn, train.pixels, batch_size, "training images")
    detectors = selection.fit_all(
        logits, train.labels, has_p_x(guard), false_positive_rate, threshold
    )
    return detectors, settings


def read(guard: Run, path: pathlib.Path) -> tuple[dict[str, Detector], FitSettings]:
    """The detectors of a file; InputError unless fitted on this guard, data set, K and noise."""
    settings = detector_files.read_settings(
        path,
        guard.config.data,
        num_samples=guard.sampling.num_samples,
        noise=guard.sampling.scheme,
        weights=detector_files.weights_digest(guard.model),
    )
    return detector_files.read_detectors(path), settings


@dataclasses.dataclass(frozen=True)
class ScoredAttack:
    """The guard's logits of clean test images and of a saved attack on the victim.

    Attributes:
        clean_logits: `[N, C]`, with `clean_labels`.
        adversarial_logits: `[M, C]` of the attacked images with true `labels`.
        predicted: the victim's classes `[M]`, of the logits saved with the attack.
        guard_predicted: the guard's own, where it is another classifier than the victim.
    """

    clean_logits: Array
    clean_labels: Array
    adversarial_logits: Array
    labels: Array
    predicted: Array
    guard_predicted: Array | None

    @classmethod
    def of(
        cls,
        guard: Run,
        clean: Split,
        saved: Mapping[str, Array],
        is_transfer: bool,
        batch_size: int,
    ) -> "ScoredAttack":
        """Score both on fresh noise; InputError when victim and guard have other classes."""
        predict, victim_logits = metrics.predict, saved["adversarial_logits"]
        clean_logits = predict(guard.logits_fn, clean.pixels, batch_size, "clean images")
        logits = predict(guard.logits_fn, saved["adversarial"], batch_size, "attacked images")
        if victim_logits.shape != logits.shape:
            raise InputError(
                f"the victim's logits have shape {list(victim_logits.shape)} and the guard's "
                f"{list(logits.shape)}; choose a guard for the same classes"
            )
        # As published: the victim's class of the attack itself, a guard's own class of a transfer.
        own = logits.argmax(1) if is_transfer else None
        labels, predicted = saved["labels"], victim_logits.argmax(1)
        return cls(clean_logits, clean.labels, logits, labels, predicted, own)

    def figures(self, detectors: Sequence[Detector]) -> list[dict[str, Any]]:
        """`detection_figures` of each detector."""
        fields = [getattr(self, field.name) for field in dataclasses.fields(self)]
        return [detection_figures(detector, *fields) for detector in detectors]


def choose(names: Sequence[str], detectors: Mapping[str, Detector]) -> list[Detector]:
    """The fitted detectors of these names; InputError where one is not among them."""
    missing = [name for name in names if name not in detectors]
    if missing:
        raise InputError(f"no fitted {', '.join(missing)}, only {', '.join(detectors)}; fit again")
    return [detectors[name] for name in names]


def missed_rate(detector: Detector, settings: FitSettings) -> float | None:
    """The rate on the training images (mean over classes) where it is not the one asked for.

    The published α ends at 3 and at 0, and at a jump of the rate where scores are tied. One image
    of each class, or 0.01, is no miss.
    """
    rates = np.asarray(detector.training_rates)
    slack = max(0.01, len(rates) / settings.num_train)
    found = float(rates.mean())
    return found if abs(found - settings.false_positive_rate) > slack else None
