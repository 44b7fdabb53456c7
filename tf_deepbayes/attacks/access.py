"""What an attack may see of a classifier: functions of images, never the classifier itself."""

import dataclasses
from collections.abc import Callable

from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.core.axes import FeaturesFn, LogitsFn, LogWeightsFn, Tensor
from tf_deepbayes.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class ModelAccess:
    """Functions of `[B, H, W, channels]`. Reuse one for many calls: each new one is traced again.

    Attributes:
        logits: → `[B, C]`.
        log_weights: → `[K, C, B]`, whose log-mean-exp over K gives the logits.
        features: → `[B, …]`, a hidden layer.
    """

    logits: LogitsFn
    log_weights: LogWeightsFn | None = None
    features: FeaturesFn | None = None

    def for_attack(self, attack: Attack) -> Callable[[Tensor], Tensor]:
        """The function that the attack is called with."""
        function = getattr(self, attack.uses)
        if function is None:
            raise InputError(
                f"{type(attack).__name__} needs the classifier's {attack.uses}, which it does not "
                "have; choose an attack on the logits"
            )
        return function
