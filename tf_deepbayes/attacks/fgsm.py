"""The fast gradient (sign) method (Goodfellow et al. 2015), through cleverhans."""

import dataclasses

import numpy as np
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.base import PIXEL_MAX, PIXEL_MIN, Attack
from tf_deepbayes.axes import LogitsFn, Tensor


@dataclasses.dataclass(frozen=True)
class FGSM(Attack):
    """clip(x + eps · sign ∇ₓ loss); with `norm` 2 the gradient of unit length instead.

    Attributes:
        norm: np.inf (published) or 2.
        loss: see `IterativeAttack`.
    """

    norm: float = np.inf
    loss: str = "cross_entropy"

    def __post_init__(self) -> None:
        losses.get(self.loss)

    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return fast_gradient_method(
            logits_fn,
            x,
            eps,
            self.norm,
            loss_fn=losses.get(self.loss, self.targeted),
            clip_min=PIXEL_MIN,
            clip_max=PIXEL_MAX,
            y=y,
            targeted=self.targeted,
        )
