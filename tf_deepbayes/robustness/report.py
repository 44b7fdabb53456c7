"""The robustness of any classifier in one call, and the report on it."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tf_deepbayes.attacks import Attack, GuideImages
from tf_deepbayes.attacks.access import ModelAccess, check_classifier
from tf_deepbayes.core.axes import Array, ArrayLike
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_arrays, read_json, write_atomically, write_json
from tf_deepbayes.core.validation import check_labels, check_pixels
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.reporting.decomposition.figure import decomposition_figure
from tf_deepbayes.reporting.decomposition.scorecard import scorecard
from tf_deepbayes.reporting.evaluation_table import table
from tf_deepbayes.reporting.robustness_figure import robustness_figure
from tf_deepbayes.robustness import evaluate as engine
from tf_deepbayes.robustness.attack_cache import FinishedAttack
from tf_deepbayes.robustness.attack_sets import AttackSet, chosen
from tf_deepbayes.robustness.budgets import BUDGETS
from tf_deepbayes.robustness.decomposition.decompose import Subject, announced
from tf_deepbayes.robustness.decomposition.decompose import decompose as take_apart
from tf_deepbayes.robustness.decomposition.gradient_audit import in_float64
from tf_deepbayes.robustness.decomposition.noise_control import NoiseControl
from tf_deepbayes.robustness.decomposition.sizes import SIZES
from tf_deepbayes.robustness.suite import (
    LABEL_ONLY,
    SUBSTITUTE,
    VICTIM,
    Defence,
    EvaluationSettings,
    ball,
)

REPORT, IMAGES = "report.json", "images.npz"


@dataclasses.dataclass(frozen=True)
class Report:
    """What an evaluation found. Printed, it is a table.

    Attributes:
        figures: everything, as the app `evaluate` writes it (see `robustness.evaluate`).
        settings: what was asked for.
        images: the worst adversarial image of each, `[N, H, W, channels]`.
    """

    figures: Mapping[str, Any]
    settings: Mapping[str, Any]
    images: Array

    @property
    def clean_accuracy(self) -> float:
        """Accuracy before any attack, in one draw of the classifier's noise."""
        return self.figures["worst_case"]["clean_accuracy"]

    @property
    def robust_accuracy(self) -> float:
        """Share of images that are right before and after the worst attack on each."""
        return self.figures["worst_case"]["robust_accuracy"]

    @property
    def robust_accuracy_interval(self) -> tuple[float, float]:
        """Its 95% interval over images."""
        low, high = self.figures["worst_case"]["robust_accuracy_interval"]
        return low, high

    @property
    def attacks(self) -> list[dict[str, Any]]:
        """A row of figures for each attack."""
        return list(self.figures["components"])

    @property
    def checks(self) -> list[dict[str, Any]]:
        """The sanity checks: whether the attacks are to be believed."""
        return list(self.figures["checks"])

    @property
    def first_broken_by(self) -> list[str | None]:
        """For each image, the name of the first attack that broke it.

        "unperturbed" where it was wrong before any attack; None where all attacks left it.
        """
        return list(self.figures["worst_case"]["first_broken_by"])

    @property
    def samples(self) -> bool:
        """Whether two calls on the same images differ."""
        return bool(self.figures["samples"])

    def __str__(self) -> str:
        lines = [f"{self._ball}, budget {self.settings['budget']}", table(self.figures)]
        if self.samples:
            lines.append("Two calls on the same images differ: read every rate against that.")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Settings and figures, as JSON can hold them."""
        return {"settings": dict(self.settings), "figures": dict(self.figures)}

    def save(self, folder: str | pathlib.Path) -> None:
        """Write report.json and images.npz; `load` reads them."""
        folder = pathlib.Path(folder)
        images = self.images
        write_atomically(folder / IMAGES, lambda file: np.savez_compressed(file, worst=images))
        write_json(folder / REPORT, self.to_dict())

    @classmethod
    def load(cls, folder: str | pathlib.Path) -> "Report":
        """A saved report."""
        folder = pathlib.Path(folder)
        content = read_json(folder / REPORT)
        if not isinstance(content, dict) or not {"figures", "settings"} <= set(content):
            raise InputError(f"{folder / REPORT} is no report: expected figures and settings in it")
        images = read_arrays(folder / IMAGES, "evaluate again")["worst"]
        return cls(content["figures"], content["settings"], images)

    @property
    def decomposition(self) -> dict[str, Any] | None:
        """The robustness taken apart, see `decomposition.decompose`; None if not asked for."""
        return self.figures.get("decomposition")

    def scorecard(self) -> str:
        """One page of Markdown: what the robust accuracy is made of and how far it goes.

        Raises:
            InputError: the evaluation was made without `decompose`.
        """
        return scorecard(self._apart(), self._ball, self.figures["worst_case"])

    def plot_decomposition(self) -> Figure:
        """The parts as a stacked bar, beside the budget curves."""
        return decomposition_figure([self._apart()])

    def _apart(self) -> dict[str, Any]:
        if self.decomposition is None:
            raise InputError("the robustness was not taken apart; evaluate with decompose=True")
        return self.decomposition

    def plot(self) -> Figure:
        """Bars: clean accuracy, accuracy under each attack, the worst case with its interval."""
        return robustness_figure(self.figures, self._ball)

    @property
    def _ball(self) -> str:
        return ball(float(self.settings["eps"]), float(self.settings.get("norm", np.inf)))


def evaluate(
    classifier: Any,
    x: ArrayLike,
    y: ArrayLike,
    eps: float,
    budget: str = "standard",
    outputs: str = "logits",
    attacks: Sequence[str | Attack] | None = None,
    detectors: Mapping[str, Detector] | None = None,
    guides: GuideImages | tuple[ArrayLike, ArrayLike] | None = None,
    substitute: Any = None,
    batch_size: int = 50,
    seed: int = 0,
    norm: float = np.inf,
    decompose: bool = False,
    noise_control: NoiseControl | None = None,
) -> Report:
    """Attack a classifier with a set of attacks, take the worst for each image, check the attacks.

    Args:
        classifier: what `ModelAccess.of` takes: a logits function, a Keras model, a run.
        x: images `[N, H, W, channels]`, pixels in [0, 1].
        y: labels `[N]` or one-hot `[N, C]`.
        eps: radius of the ball, in pixels.
        budget: "quick", "standard" or "full".
        outputs: "logits", or "probabilities" of a softmax model.
        attacks: attacks instead of the budget's set, or names of them: of attacks of that set
            ("pgd_log_odds_0"), or of `ATTACKS` with their published settings ("pgd").
        detectors: fitted detectors, which attacks then also evade.
        guides: clean images of all classes, which the matching attack imitates.
        substitute: another classifier, for a transfer attack.
        batch_size: images at a time.
        seed: of what the attacks draw.
        norm: norm of the ball, np.inf or 2.
        decompose: also take the robustness apart, in sizes of the same budget; what it costs is
            printed first.
        noise_control: how its noise is controlled, for that; a run knows its own.

    Raises:
        InputError: the classifier does not answer as `outputs` says, or an argument does not fit.
    """
    if budget not in BUDGETS:
        raise InputError(f"budget must be one of {', '.join(BUDGETS)}, got {budget!r}")
    images = check_pixels(x)
    labels = check_labels(y, count=len(images))
    if not len(images):
        raise InputError("expected at least one image, got none")
    check_classifier(classifier, images[:batch_size], int(labels.max()) + 1, outputs)
    settings = EvaluationSettings(BUDGETS[budget], eps, batch_size=batch_size, seed=seed, norm=norm)
    sources = _sources(classifier, outputs, substitute)
    logits_fn = sources[VICTIM].logits
    defence = Defence.of(settings, logits_fn, sources, images, labels)
    if guides is not None and not isinstance(guides, GuideImages):
        pool = check_pixels(guides[0])
        guides = GuideImages.of_right(logits_fn, pool, check_labels(guides[1], count=len(pool)))
    defence = dataclasses.replace(
        defence,
        guides=guides,
        detectors=dict(detectors or {}),
        reseed=getattr(classifier, "reseed", defence.reseed),
    )
    components = None if attacks is None else chosen(AttackSet(settings, defence), attacks)
    sizes = SIZES[budget]
    if decompose:
        exact = in_float64(classifier) if outputs == "logits" else None
        control = noise_control or _own_control(classifier, sizes.limit_samples)
        subject = Subject(settings, defence, control, exact, components)
        print("\n".join(announced(subject, sizes)))
    done = list[FinishedAttack]()
    figures, worst = engine.evaluate(settings, defence, on_done=done.append, components=components)
    asked = {"eps": float(eps), "budget": budget, "outputs": outputs, "batch_size": batch_size}
    asked |= {"seed": seed} | ({} if norm == np.inf else {"norm": norm})
    if decompose:
        figures["decomposition"] = take_apart(subject, worst, sizes, finished=done)
    return Report(figures, asked, worst.adversarial)


def _own_control(classifier: Any, limit_samples: int) -> NoiseControl | None:
    """How a run controls its noise; None for anything else."""
    own = getattr(classifier, "noise_control", None)
    return own(limit_samples) if own is not None else None


def _sources(classifier: Any, outputs: str, substitute: Any) -> dict[str, ModelAccess]:
    """Whose gradients there are to follow."""
    sources = {VICTIM: ModelAccess.of(classifier, outputs)}
    factor = getattr(getattr(classifier, "model", None), "label_factor", None)
    if factor and hasattr(classifier, "access"):
        sources[LABEL_ONLY] = classifier.access(factor=factor)
    if substitute is not None:
        sources[SUBSTITUTE] = ModelAccess.of(substitute)
    return sources
