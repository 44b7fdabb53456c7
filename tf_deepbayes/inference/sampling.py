"""How a stochastic classifier samples: how many draws, of which kind, from which seed."""

from __future__ import annotations

import dataclasses
from typing import Any

from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.inference.noise import INDEPENDENT, check_scheme

MODES = ("sample", "mean", "fixed", "zero")


@dataclasses.dataclass(frozen=True)
class Sampling:
    """The draws of z (in a dropout network: of masks) behind one call.

    Attributes:
        num_samples: K.
        mode: "sample"; "mean" z = mean of q (no dropout), K = 1; "fixed" the same K draws for every
            image, class and call; "zero" z = 0, K = 1.
        scheme: how the K draws of "sample" and "fixed" are made, one of `noise.SCHEMES`.
        seed: fixes the draws of "sample"; None: each call draws new ones.

    Raises:
        InputError: on creation, when the values are invalid or do not fit together.
    """

    num_samples: int = 10
    mode: str = "sample"
    scheme: str = INDEPENDENT
    seed: int | Tensor | None = None

    def __post_init__(self) -> None:
        check_count("num_samples", self.num_samples)
        if self.mode not in MODES:
            raise InputError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        check_scheme(self.scheme, self.num_samples, self.mode)

    @classmethod
    def of(cls, sampling: Sampling | int | None, **changes: Any) -> Sampling:
        """A `Sampling` with changes; a bare K, accepted by earlier versions, still means K."""
        if isinstance(sampling, int):
            sampling, changes = None, {"num_samples": sampling, **changes}
        return (
            dataclasses.replace(sampling or DEFAULT, **changes) if changes else sampling or DEFAULT
        )


DEFAULT = Sampling()
