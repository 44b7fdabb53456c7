"""A fitted detector as a compiled attack holds it: a copy, compared by what was fitted."""

import copy
import dataclasses
from collections.abc import Hashable
from typing import Any

import numpy as np

from tf_deepbayes.detection.detectors import Detector


# Slots leave no place for a weak reference: `tf.function` compares by value what has none, and
# objects that have one only for as long as they live.
@dataclasses.dataclass(frozen=True, slots=True)
class FrozenDetector:
    """A copy of a detector that a later `fit` does not change; equal for equal fitted values.

    The fitted values become constants of a compiled attack. Equal detectors share its trace, and
    one that was fitted again in place gets another.

    Attributes:
        detector: the copy.
        values: everything it holds, to compare it by.
    """

    detector: Detector = dataclasses.field(compare=False)
    values: tuple[Hashable, ...]

    @classmethod
    def of(cls, detector: Detector | None) -> "FrozenDetector | None":
        """The detector as it is now; None for none."""
        if detector is None:
            return None
        copied = copy.deepcopy(detector)
        held = sorted(vars(copied).items())
        return cls(copied, (type(copied), *((name, _comparable(value)) for name, value in held)))


def _comparable(value: Any) -> Hashable:
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    return value if isinstance(value, Hashable) else repr(value)
