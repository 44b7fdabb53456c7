"""Fit a guard's detectors on its training images and score a saved attack with them.

A detection is written as <victim's run>/detection/<attack>[_guard_<model>].json, fitted detectors
as <guard's run>/detection/thresholds_….json.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest, read_arrays, write_arrays
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.splits import Split
from tf_deepbayes.detection import selection
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.detection.scored_attack import ScoredAttack, outcome_names, with_earlier
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.evaluation.result_names import joined
from tf_deepbayes.reporting.roc_figure import write_roc_figure
from tf_deepbayes.runs import detector_files, results
from tf_deepbayes.runs.checkpoints import versions
from tf_deepbayes.runs.detector_files import FitSettings
from tf_deepbayes.runs.fusion.fitting import fitting_inputs
from tf_deepbayes.runs.indices import test_indices
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.done import only_result
from tf_deepbayes.runs.state.identity import weights_digest
from tf_deepbayes.runs.state.lock import locked


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
    settings = detector_files.fit_settings(guard, train, seed, false_positive_rate, threshold)
    logits = metrics.predict(*fitting_inputs(guard, train), batch_size, "training images")
    kind = has_p_x(guard), false_positive_rate, threshold
    return selection.fit_all(logits, train.labels, *kind), settings


def read(guard: Run, path: pathlib.Path) -> tuple[dict[str, Detector], FitSettings]:
    """The detectors in a file; InputError unless fitted on this guard, data set and sampling."""
    path = only_result(path)
    settings = detector_files.read_settings(
        path,
        guard.config.data,
        num_samples=guard.sampling.num_samples,
        noise=guard.sampling.noise,
        mode=guard.sampling.mode,
        weights=weights_digest(guard.model),
    )
    return detector_files.read_detectors(path), settings


@dataclasses.dataclass(frozen=True)
class Detection:
    """The detection of saved attacks on a victim by a guard.

    Attributes:
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
        overwrite: replace a result on disk that has other settings.
        resume: keep the fitted detectors and the results on disk.
        merge: all results have to be on disk, from the parts of a divided detection.
        say: called with progress messages, one line each.
    """

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
    overwrite: bool = False
    resume: bool = False
    merge: bool = False
    say: Callable[[str], None] = print

    @property
    def by(self) -> Run:
        """The guard, or the victim as its own guard."""
        return self.guard or self.victim

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The guard's data set."""
        return self.by.load_data(self.data_dir)

    @functools.cached_property
    def names(self) -> list[str]:
        """The detectors to use."""
        has_density = has_p_x(self.by)
        if self.detectors is None and not has_density:
            model = self.by.config.model
            self.say(f"{model} has no p(x): the marginal and logit detectors are left out")
        return selection.detector_names(self.detectors, has_density)

    @functools.cached_property
    def fitted(self) -> tuple[dict[str, Detector], FitSettings]:
        """The guard's detectors, read or fitted once for all attacks, and how they were fitted."""
        names, path = self.names, self.thresholds
        found = detectors, settings = read(self.by, pathlib.Path(path)) if path else self._fit()
        for detector in selection.choose(names, detectors):
            missed = detector_files.missed_rate(detector, settings)
            if missed is not None:
                self.say(
                    f"{detector.name}: the {detector.threshold} thresholds reject {missed:.3f} of "
                    f"the training images, not the requested {settings.false_positive_rate:.3f}"
                )
        return found

    def figures(self, attack: str) -> list[dict[str, Any]]:
        """Score a saved attack and write the result; returns the figures of each detector.

        Figures of other detectors with the same settings stay in the result.

        Args:
            attack: name of the saved attack.

        Raises:
            InputError: the result on disk has other settings, or a merge does not find it.
        """
        saved, clean = self._images(attack)
        settings, path = self._settings(attack, saved, clean), self.path(attack)
        if not self.save:
            return self._score(saved, clean)[0]
        with locked(path.with_name(f".{path.stem}.lock"), f"the result {path.stem}"):
            rows = earlier = results.on_disk(path, "detection", settings, self.overwrite) or []
            missing = set(self.names) - {row["detector"] for row in earlier}
            if self.merge and missing:
                raise InputError(f"there is no {path}; run the missing parts, then merge again")
            arrays = path.with_suffix(".npz")
            others = read_arrays(arrays, "delete it") if earlier and arrays.is_file() else {}
            is_whole = outcome_names(self.names, self._is_transfer) <= set(others)
            if missing or not is_whole or not (self.resume or self.merge):
                figures, outcomes = self._score(saved, clean)
                rows = with_earlier(figures, earlier)
            if rows != earlier or not is_whole:
                write_arrays(arrays, others | outcomes)
                results.write_result(path, "detection", self.victim.config, settings, rows)
        if self.plot:
            title = f"{attack} on {self.victim.config.model}, detected by {self.by.config.model}"
            write_roc_figure(path.with_suffix(".png"), rows, title)
        return rows

    @property
    def _is_transfer(self) -> bool:
        return self.by.folder.resolve() != self.victim.folder.resolve()

    def _images(self, attack: str) -> tuple[dict[str, Array], Split]:
        """(the saved attack's arrays, clean test images)."""
        indices = test_indices(self.dataset, self.indices)
        path = self.victim.folder / "attacks" / f"{attack}.npz"
        saved = saved_attacks.read_attack_arrays(path)
        if self.indices:
            saved = saved_attacks.select_images(saved, indices)
        return saved, self.dataset.test.take(indices[: self.num_clean])

    def _score(
        self, saved: dict[str, Array], clean: Split
    ) -> tuple[list[dict[str, Any]], dict[str, Array]]:
        """(figures, outcomes) of each detector; the noise is that of a guard just loaded."""
        guard, chosen = self.by, selection.choose(self.names, self.fitted[0])
        guard.restart()
        given = guard.logits_fn, clean.pixels, clean.labels, saved, self._is_transfer
        scored = ScoredAttack.of(*given, self.batch_size)
        return scored.figures(chosen), scored.outcomes(chosen)

    def _fit(self) -> tuple[dict[str, Detector], FitSettings]:
        """Fit the guard's detectors and write them to its run folder."""
        guard, train = self.load_guard(), self.dataset.train.first(self.num_train)
        self.say(f"fitting the detectors of {guard.config.model} on {len(train)} images")
        kind = (guard.seed, self.false_positive_rate, self.threshold)
        settings = detector_files.fit_settings(guard, train, *kind)
        path = guard.folder / "detection" / settings.file_name
        if self.save:
            known = results.on_disk(path, detector_files.KIND, settings.recorded(), self.overwrite)
            if known and (self.resume or self.merge):
                return detector_files.read_detectors(path), settings
        detectors, _ = fit(guard, train, *kind, self.batch_size)
        if self.save:
            detector_files.write_detectors(path, guard.config, settings, detectors)
            self.say(f"fitted detectors in {path}")
        return detectors, settings

    def path(self, attack: str) -> pathlib.Path:
        """The result's file."""
        kind = self.fitted[1].kind
        guard = f"guard_{self.by.folder.name}" if self.guard else None
        name = joined(attack, guard, None if kind == detector_files.PUBLISHED else kind)
        return self.victim.folder / "detection" / f"{name}.json"

    def _settings(self, attack: str, saved: dict[str, Array], clean: Split) -> dict[str, Any]:
        """Everything the figures depend on, apart from the detectors' names."""
        guard, fitted = self.by, self.fitted[1]
        return {
            "attack": attack,
            "indices": self.indices,
            "guard": guard.config.model,
            "num_clean": self.num_clean,
            "num_samples": guard.sampling.num_samples,
            **fitted.said_mode,
            "noise": guard.recorded_scheme,
            "seed": guard.seed,
            "false_positive_rate": fitted.false_positive_rate,
            "num_train": fitted.num_train,
            "fitted": fitted.recorded(),
            "attacked": digest(saved["adversarial"]),
            "data": digest(clean.images, clean.labels),
            "version": versions()["tf_deepbayes"],
        }
