"""Losses that a gradient attack maximises (untargeted) or minimises (targeted), per image, in nats.

Logits of deep Bayes classifiers differ by tens to hundreds of nats. At such differences float32
cross-entropy has no gradient, and attacking it fails however robust the model is; the other losses
keep their gradients.
"""

from collections.abc import Callable

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.errors import InputError

TINY = 1e-12  # keeps a ratio of equal logits finite
Loss = Callable[[Tensor, Tensor], Tensor]  # (integer labels [B], logits [B, C]) → [B]


def cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """−log softmax(logits)[label], the published loss."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def log_odds(labels: Tensor, logits: Tensor) -> Tensor:
    """log(1 − p) − log p of the label: cross-entropy without its saturation.

    logsumexp over the other classes minus the label's logit. It increases with cross-entropy, and
    its gradient never vanishes, however confident the classifier is.
    """
    own, others = _own_and_others(labels, logits)
    return tf.reduce_logsumexp(others, axis=1) - own


def margin(labels: Tensor, logits: Tensor) -> Tensor:
    """Largest other logit minus the label's (Carlini and Wagner 2017)."""
    own, others = _own_and_others(labels, logits)
    return tf.reduce_max(others, axis=1) - own


def dlr(labels: Tensor, logits: Tensor) -> Tensor:
    """Difference of logits ratio (Croce and Hein 2020): the margin over the spread of the top 3."""
    top = _descending(logits, at_least=3)
    return margin(labels, logits) / (top[:, 0] - top[:, 2] + TINY)


def dlr_targeted(labels: Tensor, logits: Tensor) -> Tensor:
    """The targeted DLR; its spread uses the fourth class too, as the target may be the third."""
    top = _descending(logits, at_least=4)
    spread = top[:, 0] - 0.5 * (top[:, 2] + top[:, 3])
    return margin(labels, logits) / (spread + TINY)


def _descending(logits: Tensor, at_least: int) -> Tensor:
    if logits.shape[1] < at_least:
        raise InputError(
            f"the loss dlr needs logits of at least {at_least} classes, got {logits.shape[1]}; "
            "use margin"
        )
    return tf.sort(logits, axis=1, direction="DESCENDING")


def _own_and_others(labels: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    own = tf.gather(logits, labels, axis=1, batch_dims=1)
    is_label = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    return own, tf.where(is_label, logits.dtype.min, logits)


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "log_odds": log_odds,
    "margin": margin,
    "dlr": dlr,
}


# Losses with a different form for targeted attacks.
TARGETED_LOSSES: dict[str, Loss] = {"dlr": dlr_targeted}


def get(name: str, targeted: bool = False) -> Loss:
    """The loss of that name; InputError when there is none."""
    if name not in LOSSES:
        raise InputError(f"unknown loss {name!r}; choose one of {', '.join(LOSSES)}")
    return TARGETED_LOSSES.get(name, LOSSES[name]) if targeted else LOSSES[name]
