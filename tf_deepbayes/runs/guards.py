"""Fit a guard's detectors on its training images and score a saved attack with them.

A detection is written as <victim's run>/detection/<attack>[_guard_<model>].json, fitted detectors
as <guard's run>/detection/thresholds_….json.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.splits import Split
from tf_deepbayes.detection import selection
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.detection.figures import detection_figures
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.reporting.roc_figure import write_roc_figure
from tf_deepbayes.runs import detector_files, results
from tf_deepbayes.runs.detector_files import FitSettings
from tf_deepbayes.runs.indices import test_indices
from tf_deepbayes.runs.run import Run


def has_p_x(guard: Run) -> bool:
    """Whether the guard's logits are log p̂(x, y_c); plain classifiers have no p(x)."""
    return bool(getattr(guard.model, "has_p_x", False))


def fit(
    guard: Run,
    train: Split,
    seed: int,
    false_positive_rate: float,
    threshold: str,
    batch_size: int,
) -> tuple[dict[str, Detector], FitSettings]:
    """Every detector that applies to the guard, fitted on its logits of the training images.

    Args:
        guard: a freshly loaded guard: earlier draws would change the noise drawn here.
        seed: the seed that the guard was loaded with, for the record.
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
    """The detectors in a file; InputError unless fitted on this guard, data set, K and noise."""
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
    """The guard's logits on clean test images and on a saved attack on the victim.

    Attributes:
        clean_logits: `[N, C]`, with `clean_labels`.
        adversarial_logits: `[M, C]` on the attacked images with true `labels`.
        predicted: the victim's classes `[M]`, from the logits saved with the attack.
        guard_predicted: the guard's own classes, if it is not the victim.
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
        """Score both on fresh noise; InputError when victim and guard differ in classes."""
        predict, victim_logits = metrics.predict, saved["adversarial_logits"]
        clean_logits = predict(guard.logits_fn, clean.pixels, batch_size, "clean images")
        logits = predict(guard.logits_fn, saved["adversarial"], batch_size, "attacked images")
        if victim_logits.shape != logits.shape:
            raise InputError(
                f"the victim's logits have shape {list(victim_logits.shape)} and the guard's "
                f"{list(logits.shape)}; choose a guard for the same classes"
            )
        # As published: the victim's class for the attack itself, the guard's own for a transfer.
        own = logits.argmax(1) if is_transfer else None
        labels, predicted = saved["labels"], victim_logits.argmax(1)
        return cls(clean_logits, clean.labels, logits, labels, predicted, own)

    def figures(self, detectors: Sequence[Detector]) -> list[dict[str, Any]]:
        """`detection_figures` of each detector."""
        fields = [getattr(self, field.name) for field in dataclasses.fields(self)]
        return [detection_figures(detector, *fields) for detector in detectors]


def missed_rate(detector: Detector, settings: FitSettings) -> float | None:
    """The rate on the training images (mean over classes) if it misses the requested one.

    The published search for α is limited to [0, 3], and tied scores make the rate jump. One image
    per class, or 0.01, is not a miss.
    """
    rates = np.asarray(detector.training_rates)
    slack = max(0.01, len(rates) / settings.num_train)
    found = float(rates.mean())
    return found if abs(found - settings.false_positive_rate) > slack else None


@dataclasses.dataclass(frozen=True)
class Detection:
    """The detection of a saved attack on a victim by a guard.

    Attributes:
        attack: name of the saved attack.
        victim: the run attacked.
        guard: the run that detects; None for the victim itself.
        load_guard: loads a fresh guard. Detectors are fitted on a copy, so that the noise on the
            scored images is the same whether the detectors were fitted or read.
        detectors: names of the detectors to use; None: all that apply to the guard.
        thresholds: file of fitted detectors to read instead of fitting.
        num_train: fit on only the first images.
        false_positive_rate: share of training images to reject.
        threshold: kind of threshold to fit.
        indices: files; use only the images that are in all of them.
        num_clean: clean test images for the false-positive rate.
        save: write the result and the fitted detectors.
        plot: plot the ROC curves next to the result.
        say: called with progress messages, one line each.
    """

    attack: str
    victim: Run
    guard: Run | None
    load_guard: Callable[[], Run]
    detectors: Sequence[str] | None = None
    thresholds: str | None = None
    num_train: int | None = None
    false_positive_rate: float = 0.05
    threshold: str = "published"
    indices: Sequence[str] | None = None
    num_clean: int = 1000
    batch_size: int = 100
    data_dir: str | None = None
    save: bool = True
    plot: bool = False
    say: Callable[[str], None] = print

    @property
    def by(self) -> Run:
        """The guard, or the victim as its own guard."""
        return self.guard or self.victim

    def figures(self) -> list[dict[str, Any]]:
        """Score the attack and write the result; returns the figures of each detector."""
        has_density = has_p_x(self.by)
        names = selection.detector_names(self.detectors, has_density)
        if self.detectors is None and not has_density:
            model = self.by.config.model
            self.say(f"{model} has no p(x): the marginal and logit detectors are left out")
        figures, fitted = self._detect(names)
        if self.save:
            self._write(fitted, figures)
        return figures

    def _detect(self, names: Sequence[str]) -> tuple[list[dict[str, Any]], FitSettings]:
        """The figures of each detector, and how the detectors were fitted."""
        guard, victim = self.by, self.victim
        dataset = guard.load_data(self.data_dir)
        indices = test_indices(dataset, self.indices)
        saved = saved_attacks.read_attack_arrays(victim.folder / "attacks" / f"{self.attack}.npz")
        if self.indices:
            saved = saved_attacks.select_images(saved, indices)
        train = dataset.train.first(self.num_train)
        clean = dataset.test.take(indices[: self.num_clean])
        found = read(guard, pathlib.Path(self.thresholds)) if self.thresholds else None
        is_transfer = guard.folder.resolve() != victim.folder.resolve()
        scored = ScoredAttack.of(guard, clean, saved, is_transfer, self.batch_size)
        detectors, settings = found or self._fit(train)
        chosen = selection.choose(names, detectors)
        for detector in chosen:
            missed = missed_rate(detector, settings)
            if missed is not None:
                self.say(
                    f"{detector.name}: the {detector.threshold} thresholds reject {missed:.3f} of "
                    f"the training images, not the requested {settings.false_positive_rate:.3f}"
                )
        return scored.figures(chosen), settings

    def _fit(self, train: Split) -> tuple[dict[str, Detector], FitSettings]:
        """Fit the guard's detectors and write them to its run folder."""
        guard = self.load_guard()
        self.say(f"fitting the detectors of {guard.config.model} on {len(train)} images")
        kind = (self.false_positive_rate, self.threshold)
        detectors, settings = fit(guard, train, guard.seed, *kind, self.batch_size)
        if self.save:
            path = guard.folder / "detection" / settings.file_name
            detector_files.write_detectors(path, guard.config, settings, detectors)
            self.say(f"fitted detectors in {path}")
        return detectors, settings

    def _write(self, fitted: FitSettings, figures: Sequence[Mapping[str, Any]]) -> None:
        """Write the result and, if requested, a plot of the ROC curves next to it."""
        guard, config = self.by, self.victim.config
        name = self.attack + (f"_guard_{guard.folder.name}" if self.guard else "")
        name += "" if fitted.kind == detector_files.PUBLISHED else f"_{fitted.kind}"
        settings = {
            "attack": self.attack,
            "indices": self.indices,
            "guard": guard.config.model,
            "num_clean": self.num_clean,
            "num_samples": guard.sampling.num_samples,
            "noise": guard.recorded_scheme,
            "seed": guard.seed,
            "false_positive_rate": fitted.false_positive_rate,
            "num_train": fitted.num_train,
            "fitted": dataclasses.asdict(fitted),
        }
        path = self.victim.folder / "detection" / f"{name}.json"
        results.write_result(path, "detection", config, settings, figures)
        if self.plot:
            title = f"{self.attack} on {config.model}, detected by {guard.config.model}"
            write_roc_figure(path.with_suffix(".png"), figures, title)
