"""PGD towards each of the likeliest other classes in turn."""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.access import LazyLogits
from tf_deepbayes.attacks.base import AttackedBatch
from tf_deepbayes.attacks.losses import Loss
from tf_deepbayes.attacks.tracing import compiled_per_function
from tf_deepbayes.attacks.white_box.pgd import LINEAR, PGD
from tf_deepbayes.core.axes import Array, LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count


@dataclasses.dataclass(frozen=True)
class RankedPGD(PGD):
    """PGD up z_c − z_y for each of the first `ranks` other classes c, and the best of them.

    The other classes are ordered by the logits z of the clean image, the likeliest first. Each run
    takes `nb_iter` steps from a random start of its own; the image with the largest margin
    max_{c≠y} z_c − z_y is returned. It finds what an attack on all classes at once misses because
    the class that is nearest at first is not the one that can be reached (targeted runs: Croce and
    Hein 2020). The steps decline, from 0.2 (2 eps for eps = 0.1).

    Attributes:
        ranks: classes attacked; at most all others.
    """

    name: ClassVar[str] = "ranked"
    eps_iter: float = 0.2
    schedule: str = LINEAR
    loss: str = "margin"
    ranks: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("ranks", self.ranks)
        for name, usual in (("targeted", False), ("loss", "margin"), ("early_stop", False)):
            if getattr(self, name) != usual:
                raise InputError(
                    f"{name} does not apply to ranked, which has its own; leave it out"
                )
        if self.lazy_classes:
            raise InputError("lazy_classes does not apply to ranked, which looks at two classes")

    def loss_fn(self) -> Loss:
        """See `IterativeAttack.loss_fn`."""
        return towards

    def attack_batch(
        self, logits_fn: LogitsFn, target_fn: LogitsFn, x: Tensor, y: Tensor, eps: float
    ) -> AttackedBatch:
        """See `Attack.attack_batch`."""
        every = logits_fn.logits if isinstance(logits_fn, LazyLogits) else logits_fn
        draws, margins = tf.constant(self.eot), []
        goals, found = ranked_classes(logits_of_draws(every, x, draws).numpy(), y.numpy()), []
        for rank, goal in enumerate(goals[: self.ranks]):
            start = dataclasses.replace(self, seed=self.seed + rank)
            pair = tf.stack([tf.cast(y, tf.int64), tf.constant(goal)], axis=1)
            found.append(start.climb(every, target_fn, x, pair, eps, descend=False).images)
            logits = logits_of_draws(every, found[-1], draws)
            margins.append(losses.margin(y, logits).numpy())
        best = np.stack(margins).argmax(0)
        return AttackedBatch(np.stack(found)[best, np.arange(len(best))])


def towards(pair: Tensor, logits: Tensor) -> Tensor:
    """z_c − z_y; pair `[B, 2]` of y and c, logits `[B, C]` → `[B]`."""
    both = tf.gather(logits, pair, axis=1, batch_dims=1)
    return both[:, 1] - both[:, 0]


def ranked_classes(logits: Array, labels: Array) -> Array:
    """The classes other than the label by their logits, the largest first: `[C − 1, B]` int64."""
    order = np.argsort(-logits, axis=1, kind="stable")
    others = order[order != labels[:, None]]
    return others.reshape(len(labels), -1).T.astype(np.int64)


@compiled_per_function(0)
def logits_of_draws(logits_fn, x, draws):  # type: ignore[no-untyped-def]
    """Logits `[B, C]`, mean over so many draws of the classifier's noise."""
    total = logits_fn(x)
    _, total = tf.while_loop(
        lambda i, _: i < draws,
        lambda i, total: (i + 1, total + logits_fn(x)),
        (1, total),
        parallel_iterations=1,
    )
    return total / tf.cast(draws, tf.float32)
