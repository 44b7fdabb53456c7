"""White-box attacks on sampling and detection, WB+S, WB+S+M, WB+S+L, WB+S+K (Li et al. 2019).

The published code calls them "superwhite".
"""

import dataclasses
from typing import ClassVar, NamedTuple

import tensorflow as tf

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.base import number_text
from tf_deepbayes.attacks.white_box.pgd import PGD
from tf_deepbayes.core.axes import Tensor, logits_of
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.detection.frozen import FrozenDetector
from tf_deepbayes.detection.graph_scores import CLASS_SCORES

GATHERS = ("own", "published")


@dataclasses.dataclass(frozen=True)
class Superwhite(PGD):
    """PGD on loss(x′) − λ · relu(score(x′) − threshold), seeing every sample's log weights.

    The first argument of the call is a `log_weights_fn`, `[B, H, W, channels]` → `[K, C, B]`, whose
    log-mean-exp over K gives the logits; for a classifier that averages probabilities they are the
    log softmax of each pass.

    Attributes:
        detector: a fitted detector to evade as well: Marginal (WB+S+M), Logit (WB+S+L),
            Divergence (WB+S+K); None attacks only the sampling (WB+S).
        detection_lambda: λ, the weight of the detection loss.
        snapshot: the mean of the K samples' own losses, to fool every sample, instead of the loss
            of their combination.
        gather: "own": each image is held to its predicted class's threshold; "published": to
            those of all predicted classes in its batch, on average, as in the published code (an
            N×N gather where each row's own was meant).
    """

    name: ClassVar[str] = "superwhite"
    uses: ClassVar[str] = "log_weights"
    in_eps_name: ClassVar[tuple[str, ...]] = ("detection_lambda",)
    only_misclassifies: ClassVar[bool] = False  # it also evades a detector or fools every sample
    detector: Detector | None = None
    detection_lambda: float = 0.1
    snapshot: bool = False
    gather: str = "own"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gather not in GATHERS:
            raise InputError(f"gather must be one of {', '.join(GATHERS)}, got {self.gather!r}")
        if not self.detection_lambda >= 0:
            raise InputError(f"detection_lambda must be at least 0, got {self.detection_lambda}")
        if self.detector is not None:
            _check_detector(self.detector)

    def eps_name(self, eps: float) -> str:
        """See `Attack.eps_name`."""
        size = super().eps_name(eps)
        has_lambda = self.detector is not None
        return f"{size}_lambda{number_text(self.detection_lambda, 1)}" if has_lambda else size

    def loss_fn(self) -> losses.Loss:
        """See `IterativeAttack.loss_fn`."""
        options = self.detection_lambda, self.snapshot, self.gather
        detector = FrozenDetector.of(self.detector)
        return SuperwhiteLoss(self.loss, self.targeted, detector, *options)  # type: ignore


class SuperwhiteLoss(NamedTuple):
    """(labels `[B]`, log weights `[K, C, B]`) → the loss that the attack maximises or minimises.

    A tuple of plain values: `tf.function` compares it by value, so that all batches share a trace.
    """

    loss: str
    targeted: bool
    detector: FrozenDetector | None
    detection_lambda: float
    snapshot: bool
    gather: str

    def __call__(self, labels: Tensor, log_w: Tensor) -> Tensor:
        """`[B]`, nats."""
        logits, loss_fn = logits_of(log_w), losses.get(self.loss, self.targeted)
        loss = _of_samples(loss_fn, labels, log_w) if self.snapshot else loss_fn(labels, logits)
        if self.detector is None:
            return loss
        penalty = self.detection_lambda * violation(self.detector.detector, logits, self.gather)
        return loss + penalty if self.targeted else loss - penalty


def _of_samples(loss_fn: losses.Loss, labels: Tensor, log_w: Tensor) -> Tensor:
    """The mean of the single samples' losses, `[B]`."""
    num_samples, _, batch = tf.unstack(tf.shape(log_w))
    single = tf.reshape(tf.transpose(log_w, [0, 2, 1]), [-1, log_w.shape[1]])
    values = loss_fn(tf.tile(labels, [num_samples]), single)
    return tf.reduce_mean(tf.reshape(values, [num_samples, batch]), 0)


def violation(detector: Detector, logits: Tensor, gather: str = "own") -> Tensor:
    """relu(score − threshold) of each image, from logits `[B, C]` → `[B]`, nats."""
    class_scores = CLASS_SCORES[detector.name](detector, tf.cast(logits, tf.float64))
    above = tf.cast(tf.nn.relu(class_scores - detector.thresholds), tf.float32)
    predicted = tf.argmax(logits, axis=1)
    if gather == "published":
        return tf.reduce_mean(tf.gather(above, predicted, axis=1), 1)
    return tf.gather(above, predicted, axis=1, batch_dims=1)


def _check_detector(detector: Detector) -> None:
    if detector.name not in CLASS_SCORES:
        raise InputError(
            f"the attack knows the detectors {', '.join(CLASS_SCORES)}, got {detector.name!r}; "
            "add its score to CLASS_SCORES"
        )
    if detector.thresholds is None:
        raise InputError("the detector has no thresholds yet; call fit(logits, labels) first")
