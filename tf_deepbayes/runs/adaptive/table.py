"""The attacks that broke the published fusion model, on a run, beside what was published.

Counted as published: success is the share of all attacked images that is misclassified, clean
errors included, on one draw of fresh noise; rejected is the share of all of them whose KL score is
above the threshold of the class that they get in that draw. The project's own success rate, which
starts from the images that were right, is beside it.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tf_deepbayes import attacks
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.files import read_arrays
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.evaluation.result_names import joined, parts_of
from tf_deepbayes.runs import results
from tf_deepbayes.runs.attack import RunAttack
from tf_deepbayes.runs.attacking.options import AttackOptions
from tf_deepbayes.runs.attacking.targets import check_head
from tf_deepbayes.runs.detector_files import FitSettings
from tf_deepbayes.runs.guards import Detection
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.identity import sampling_parts
from tf_deepbayes.runs.state.trained import epochs_done

KIND, NUM_IMAGES = "adaptive", 1000
DETECTOR = "kl"
NOISE_IMAGES, NOISE_DRAWS, PGD_STEPS = 200, 100, 100
EPS, HEAD_EPS = 8 / 255, 4 / 255


@dataclasses.dataclass(frozen=True)
class Row:
    """An attack of the table.

    Attributes:
        attack: with the published settings.
        eps: its size.
        success: published, a share of all 1,000 images; None: never published.
        rejected: published, likewise.
    """

    attack: Attack
    eps: float
    success: float | None
    rejected: float | None


def published_rows(batch_size: int, check_every: int, seed: int = 0) -> dict[str, Row]:
    """The attacks by name, with settings and outcome as published (GBZ, mid, K = 10).

    Args:
        seed: seed of the attacks' own draws.
    """
    size: dict[str, Any] = {"batch_size": batch_size, "seed": seed}
    step = {"nb_iter": PGD_STEPS, "eps_iter": 4 * EPS / PGD_STEPS}
    kept = {**size, "check_every": check_every}
    return {
        "noise": Row(attacks.RandomNoise(nb_iter=NOISE_DRAWS, **size), EPS, 0.145, None),
        "full logits": Row(attacks.PGD(**step, **size), EPS, 0.776, None),  # type: ignore
        "full logits, log_odds": Row(
            attacks.PGD(loss="log_odds", **step, **size),  # type: ignore[arg-type]
            *(EPS, None, None),
        ),
        "head logit": Row(attacks.HeadLogit(**size), HEAD_EPS, 0.978, 0.118),
        "head logit matching": Row(attacks.ImitateHead(**kept), EPS, 0.997, 0.004),
        "feature matching": Row(attacks.ImitateFeatures(**kept), EPS, 0.995, 0.001),
    }


def counted(logits: Array, labels: Array, detector: Detector) -> dict[str, float]:
    """Shares of all images on one draw `[N, C]`: success, rejected, misclassified and passed."""
    wrong, rejected = logits.argmax(1) != labels, detector.reject(logits)
    return {
        "success": float(wrong.mean()),
        "rejected": float(rejected.mean()),
        "passed": float((wrong & ~rejected).mean()),
    }


@dataclasses.dataclass(frozen=True)
class AdaptiveTable:
    """The attacks on one run.

    Attributes:
        load: loads the run afresh.
        num_images: the first test images are attacked.
        num_train: training images that the KL detector is fitted on; None: all, as published.
        check_every: steps between judgements of a matching attack; 1 as published.
        targets: numbers of the two attacked images to imitate; None: chosen as published.
        data_dir: folder of the data set, the only one searched; None: the usual places.
        overwrite: replace results that have other settings.
        say: called with one line of text at a time.
    """

    load: Callable[[], Run]
    num_images: int = NUM_IMAGES
    batch_size: int = 200
    num_train: int | None = None
    check_every: int = 1
    targets: Sequence[str] | None = None
    data_dir: str | None = None
    overwrite: bool = False
    say: Callable[[str], None] = print

    @functools.cached_property
    def run(self) -> Run:
        """The run attacked."""
        run = self.load()
        check_head(attacks.HeadLogit(), run)
        return run

    @functools.cached_property
    def fitted(self) -> tuple[dict[str, Detector], FitSettings]:
        """The detectors, fitted once and kept in the run."""
        detection = Detection(
            *(self.run, None, self.load),
            detectors=[DETECTOR],
            num_train=self.num_train,
            data_dir=self.data_dir,
            batch_size=min(self.batch_size, 100),
            resume=True,
            overwrite=self.overwrite,
            say=self.say,
        )
        return detection.fitted

    def rows(self) -> dict[str, dict[str, Any]]:
        """Run every attack that is not finished on disk; the figures of each by its name.

        Raises:
            InputError: the table on disk has other settings.
        """
        self._place()  # refuses, and fits, before the first attack
        found, seed = {}, self.run.seed
        for name, row in published_rows(self.batch_size, self.check_every, seed).items():
            found[name] = self._figures(name, row)
            figures = found[name]
            self.say(
                f"{name}: success {figures['success']:.3f}, rejected {figures['rejected']:.3f}"
            )
        return found

    def _figures(self, name: str, row: Row) -> dict[str, Any]:
        has_detector = hasattr(row.attack, "detector")
        thresholds = self.run.folder / "detection" / self.fitted[1].file_name
        options = AttackOptions(
            num_images=min(NOISE_IMAGES, self.num_images) if name == "noise" else self.num_images,
            eval_draws=1,
            detector=DETECTOR if has_detector else None,
            thresholds=str(thresholds) if has_detector else None,
            targets=self.targets if has_detector else None,
            resume=True,
            overwrite=self.overwrite,
        )
        prepared = RunAttack(row.attack, options, self._load_both, self.data_dir)
        figures = prepared.at(row.eps)
        path = prepared.path(row.eps).with_suffix(".npz")
        arrays = read_arrays(path, "run it again", ["adversarial_logits", "labels", "clean_logits"])
        detector = self.fitted[0][DETECTOR]
        top = np.sort(arrays["clean_logits"], 1)
        return {
            **counted(arrays["adversarial_logits"], arrays["labels"], detector),
            "published_success": row.success,
            "published_rejected": row.rejected,
            "eps": row.eps,
            "success_rate": figures["success_rate"],
            "zero_gradients": figures["zero_gradients"],
            "clean_accuracy": figures["clean_accuracy"],
            "clean_prediction_changes": figures["clean_prediction_changes"],
            "clean_rejected": float(detector.reject(arrays["clean_logits"]).mean()),
            "top2_gap": float(np.median(top[:, -1] - top[:, -2])),
            "num_images": figures["num_images"],
            "seconds": figures["seconds"],
        }

    def _load_both(self) -> tuple[Run, Run]:
        run = self.load()
        return run, run

    def write(self, rows: dict[str, dict[str, Any]]) -> pathlib.Path:
        """Write the table into the run's folder.

        Raises:
            InputError: the table on disk has other settings.
        """
        path = self._place()
        results.write_result(path, KIND, self.run.config, self.settings(), rows)
        return path

    def _place(self) -> pathlib.Path:
        """The table's file; InputError where a table with other settings is to be kept there."""
        path = self.path
        results.on_disk(path, KIND, self.settings(), self.overwrite)
        return path

    @property
    def path(self) -> pathlib.Path:
        """The table's file: `adaptive.json`, or by what is not published.

        Earlier versions named it by the sampling and the number of images alone. Such a file keeps
        its name where it has the same settings.
        """
        few = None if self.num_images == NUM_IMAGES else f"n{self.num_images}"
        earlier = joined(KIND, *sampling_parts(self.run), few)
        values = {"check_every": self.check_every, "num_train": self.num_train}
        parts = parts_of(values, {"check_every": 1, "num_train": None})
        parts += ["targets" + "_".join(self.targets)] if self.targets else []
        before, now = (
            self.run.folder / f"{name}.json" for name in (earlier, joined(earlier, *parts))
        )
        is_same = results.on_disk(before, KIND, self.settings(), overwrite=True) is not None
        return before if is_same else now

    def settings(self) -> dict[str, Any]:
        """Everything the table depends on; the seed is that of `fitted`."""
        run = self.run
        return {
            "num_images": self.num_images,
            "check_every": self.check_every,
            "targets": None if self.targets is None else list(self.targets),
            "num_samples": run.sampling.num_samples,
            "noise": run.recorded_scheme,
            "fitted": self.fitted[1].recorded(),
            "extractor": run.config.extractor,
            "epochs": epochs_done(run.folder),
        }
