"""The fast gradient (sign) method (Goodfellow et al. 2015).

The step is from cleverhans; its `fast_gradient_method` raises an exception if the logits have no
gradient with respect to x, which `zero_gradients` should report instead.
"""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf
from cleverhans.tf2.utils import optimize_linear

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.loss_gradient import compiled_loss_gradient
from tf_deepbayes.core.axes import PIXEL_MAX, PIXEL_MIN, LogitsFn, Tensor


@dataclasses.dataclass(frozen=True)
class FGSM(Attack):
    """clip(x + eps · sign ∇ₓ loss); with `norm` 2, the gradient scaled to unit length.

    Attributes:
        norm: np.inf (published) or 2.
        loss: see `IterativeAttack`.
    """

    name: ClassVar[str] = "fgsm"
    norm: float = np.inf
    loss: str = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        losses.get(self.loss)

    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        loss_fn = losses.get(self.loss, self.targeted)
        gradient = compiled_loss_gradient(loss_fn, logits_fn, x, y)
        step = optimize_linear(-gradient if self.targeted else gradient, eps, self.norm)
        return tf.clip_by_value(x + step, PIXEL_MIN, PIXEL_MAX)
