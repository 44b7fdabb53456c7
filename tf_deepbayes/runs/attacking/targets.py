"""The two attacked images that an imitation makes all others look like."""

from collections.abc import Sequence

import numpy as np

from tf_deepbayes.attacks.adaptive.attacks import Imitation
from tf_deepbayes.attacks.adaptive.targets import Targets
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.splits import Split
from tf_deepbayes.models.latent_variable_model import without_head
from tf_deepbayes.runs.run import Run

SHIP = 8  # of CIFAR-10: the published attacks imitate the first test image that is a ship


def check_targets(attack: Attack, given: Sequence[str] | None) -> None:
    """InputError where targets are named for an attack without."""
    if given is not None and not isinstance(attack, Imitation):
        raise InputError(f"targets does not apply to {attack.name}; leave it out")


def check_head(attack: Attack, source: Run) -> None:
    """InputError where the attack follows a head p(y|z) that the classifier does not have."""
    if attack.uses != "label_logits":
        return
    if "p_y_z" not in source.model.factors:
        raise without_head(source.config.model, source.config.architecture)


def targets_of(victim: Run, attacked: Split, given: Sequence[str] | None, size: int) -> Targets:
    """The two images to imitate.

    They are the first of class 8 (of the last class, where there are fewer) and the first of
    another class, among those that the classifier, or its head where it has one, gets right. On the
    standard files of CIFAR-10 these are the published ones, test images 1 and 0.

    Args:
        given: numbers of two attacked images instead.
        size: images at a time.

    Raises:
        InputError: there are none, or the given ones are no two images of two classes.
    """
    if given is not None:
        return _given(attacked, given)
    num_classes = victim.config.architecture.num_classes
    wanted = min(SHIP, num_classes - 1)
    right, labels = _right(victim, attacked, size), attacked.labels
    found = [np.flatnonzero(right & own) for own in (labels == wanted, labels != wanted)]
    for rows, what in zip(found, (f"class {wanted}", f"another class than {wanted}"), strict=True):
        if not len(rows):
            raise InputError(
                f"no attacked image of {what} is classified right; attack more images or name two "
                "with --targets"
            )
    return _of(attacked, np.array([found[0][0], found[1][0]]))


def _right(victim: Run, attacked: Split, size: int) -> Array:
    """Which images the head gets right, at z drawn for their true class; without it, the model."""
    model = victim.model
    if "p_y_z" not in model.factors:
        return metrics.predict(victim.logits_fn, attacked.pixels, size).argmax(1) == attacked.labels
    found = []
    for (x, count), (y, _) in zip(
        metrics.padded(attacked.pixels, size), metrics.padded(attacked.labels, size), strict=True
    ):
        head = model.label_logits(x, y).numpy().mean(0)  # type: ignore[union-attr]
        found.append(head.argmax(1)[:count] == y.numpy()[:count])
    return np.concatenate(found)


def _given(attacked: Split, given: Sequence[str]) -> Targets:
    numbers = [int(text) for text in given if text.strip().isdecimal()]
    if len(numbers) != len(given) or len(given) != 2 or max(numbers) >= len(attacked):
        raise InputError(
            f"targets must be two numbers of attacked images, 0 to {len(attacked) - 1}, got "
            f"{','.join(given)[:60]!r}"
        )
    return _of(attacked, np.array(numbers))


def _of(attacked: Split, rows: Array) -> Targets:
    return Targets(attacked.take(rows).pixels, attacked.labels[rows])
