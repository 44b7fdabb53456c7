"""A guard's logits on clean images and on a saved attack, and what detectors make of them."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tf_deepbayes.core.axes import Array, LogitsFn
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.metrics import predict
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.detection.figures import detection_figures
from tf_deepbayes.detection.selection import DETECTORS

REJECTED = "rejected_"  # begins the names of the arrays that say what a detector rejects


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
        guard: LogitsFn,
        clean: Array,
        clean_labels: Array,
        saved: Mapping[str, Array],
        is_transfer: bool,
        batch_size: int,
    ) -> "ScoredAttack":
        """Score both on fresh noise.

        Args:
            guard: the guard's logits.
            clean: pixels `[N, H, W, channels]` with `clean_labels` `[N]`.
            saved: the arrays of the saved attack.
            is_transfer: whether the guard is not the victim.

        Raises:
            InputError: victim and guard differ in classes.
        """
        victim_logits = saved["adversarial_logits"]
        clean_logits = predict(guard, clean, batch_size, "clean images")
        logits = predict(guard, saved["adversarial"], batch_size, "attacked images")
        if victim_logits.shape != logits.shape:
            raise InputError(
                f"the victim's logits have shape {list(victim_logits.shape)} and the guard's "
                f"{list(logits.shape)}; choose a guard for the same classes"
            )
        # As published: the victim's class for the attack itself, the guard's own for a transfer.
        own = logits.argmax(1) if is_transfer else None
        return cls(
            clean_logits, clean_labels, logits, saved["labels"], victim_logits.argmax(1), own
        )

    def figures(self, detectors: Sequence[Detector]) -> list[dict[str, Any]]:
        """`detection_figures` of each detector."""
        fields = [getattr(self, field.name) for field in dataclasses.fields(self)]
        return [detection_figures(detector, *fields) for detector in detectors]

    def outcomes(self, detectors: Sequence[Detector]) -> dict[str, Array]:
        """Of each image: its label, the victim's class, and whether each detector rejects it.

        For a transfer `guard_predicted` too, the guard's own class.
        """
        own = self.predicted if self.guard_predicted is None else self.guard_predicted
        arrays = {"labels": self.labels, "predicted": self.predicted}
        if self.guard_predicted is not None:
            arrays["guard_predicted"] = self.guard_predicted
        arrays["clean_labels"] = self.clean_labels
        for detector in detectors:
            arrays[f"{REJECTED}{detector.name}"] = detector.reject(self.adversarial_logits, own)
            arrays[f"{REJECTED}clean_{detector.name}"] = detector.reject(self.clean_logits)
        return arrays


def outcome_names(detectors: Sequence[str], is_transfer: bool) -> set[str]:
    """The arrays that a whole result has beside it; earlier versions wrote none, or fewer."""
    own = {"labels", "predicted", *(f"{REJECTED}{name}" for name in detectors)}
    return own | {"guard_predicted"} if is_transfer else own


def with_earlier(
    figures: Sequence[Mapping[str, Any]], earlier: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The figures of each detector as JSON values, with earlier ones of other detectors."""
    new = {row["detector"]: json.loads(json.dumps(row)) for row in figures}
    found = {row["detector"]: dict(row) for row in earlier} | new
    return [found[name] for name in DETECTORS if name in found]
