"""An attack without a bound of its own, projected onto a ball."""

import dataclasses
from typing import ClassVar

import numpy as np

from tf_deepbayes.attacks.ball import project
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.white_box.carlini_wagner import CarliniWagnerL2
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_not_negative


@dataclasses.dataclass(frozen=True)
class Bounded(Attack):
    """Another attack's images, projected onto the ball of radius eps around the clean ones.

    Attributes:
        attack: the attack inside, called with `size` in place of eps.
        size: for the Carlini-Wagner attack, its c.
        norm: norm of the ball, np.inf or 2.
    """

    name: ClassVar[str] = "bounded"
    unsaid: ClassVar[tuple[str, ...]] = ("norm",)
    attack: Attack = dataclasses.field(default_factory=CarliniWagnerL2)
    size: float = 1.0
    norm: float = np.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative("size", self.size)
        if self.attack.targeted != self.targeted:
            raise InputError("targeted must be that of the attack inside; give both the same")

    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        moved = self.attack.perturb(logits_fn, x, y, self.size)
        return project(x, moved, eps, self.norm)
