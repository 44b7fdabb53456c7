"""The base class of attacks: a frozen description, called with any classifier's logits."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks.access import ModelAccess, check_differentiable, num_classes_of
from tf_deepbayes.attacks.ball import check_norm
from tf_deepbayes.core.axes import Array, ArrayLike, LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest
from tf_deepbayes.core.metrics import padded
from tf_deepbayes.core.validation import (
    check_count,
    check_eps,
    check_finite,
    check_labels,
    check_pixels,
)


class AttackedBatch(NamedTuple):
    """The attacked images of one batch.

    Attributes:
        images: `[n, H, W, channels]`.
        steps: how many steps each took, `[n]`; None when all take the same number.
    """

    images: Array | Tensor
    steps: Array | Tensor | None = None

    @classmethod
    def joined(cls, parts: Sequence["AttackedBatch"]) -> "AttackedBatch":
        """The images of all batches."""
        steps = [part.steps for part in parts if part.steps is not None]
        images = np.concatenate([part.images for part in parts])
        return cls(images, np.concatenate(steps) if len(steps) == len(parts) else None)


@dataclasses.dataclass(frozen=True)
class Attack(abc.ABC):
    """`attack(logits_fn, x, y, eps)` → adversarial images.

    Attributes:
        name: its name on the command line and in results; None: the class name.
        uses: which function of the classifier the attack is called with: "logits" `[B, C]`;
            "log_weights" `[K, C, B]`, a term per sample; "features" `[B, …]`;
            "label_logits" of images and labels, `[K, B, C]`.
        in_eps_name: settings that `eps_name` says, as the published names do.
        unsaid: settings that are younger than results on disk: `settings` leaves out their
            defaults, so that these results and their batches are still those of the same attack.
        targeted: move towards the given labels instead of away from them.
        batch_size: images at a time; a short last batch is padded, so there is one trace. Reuse
            one `logits_fn` for many calls: each new function is traced again.
    """

    name: ClassVar[str | None] = None
    uses: ClassVar[str] = "logits"
    in_eps_name: ClassVar[tuple[str, ...]] = ()
    unsaid: ClassVar[tuple[str, ...]] = ()
    targeted: bool = False
    batch_size: int = 100

    def __post_init__(self) -> None:
        """Check every setting by its type; whole numbers become int, others float."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "norm":
                check_norm(value)
            elif field.type is int:
                object.__setattr__(self, field.name, check_count(field.name, value, minimum=0))
            elif field.type is float:
                object.__setattr__(self, field.name, check_finite(field.name, value))
            elif field.type is bool and not isinstance(value, bool | np.bool_):
                raise InputError(f"{field.name} must be True or False, got {value!r}")
        check_count("batch_size", self.batch_size)

    @property
    def sees(self) -> str:
        """The earlier name of `uses`, kept for one release."""
        return self.uses

    def __call__(self, classifier: Any, x: ArrayLike, y: ArrayLike, eps: float) -> Array:
        """Attack every image.

        Args:
            classifier: a function `[B, H, W, channels]` → what the attack `uses`: logits `[B, C]`,
                not probabilities; or anything that `ModelAccess.of` takes.
            x: images `[N, H, W, channels]`, pixels in [0, 1].
            y: integer `[N]` or one-hot `[N, C]`: true labels, or targets if `targeted`.
            eps: size of the perturbation in the attack's norm, pixels in [0, 1].

        Returns:
            `[N, H, W, channels]` float32 in [0, 1]; x itself when eps is 0.

        Raises:
            InputError: images out of range, labels that do not match them, or a negative eps.
        """
        x, eps = check_pixels(x), check_eps(eps)
        labels, function = check_labels(y, count=len(x)), self._function(classifier)
        if eps == 0.0 or not len(x):
            return x.copy()
        check_labels(labels, self._num_classes(function))
        try:
            parts = self.parts(function, x, labels, eps, self.target_of(classifier))
            found = [part().images for part in parts]
        except tf.errors.InvalidArgumentError:  # such as a label that is no class
            check_labels(labels, self._num_classes(function))
            raise
        check_labels(labels, self._num_classes(function))
        return np.concatenate(found)

    def _num_classes(self, function: LogitsFn) -> int | None:
        has_classes = self.uses in ("logits", "log_weights")
        return num_classes_of(function) if has_classes else None

    def target_of(self, classifier: Any) -> LogitsFn | None:
        """The logits of the classifier to be fooled; None where those that are attacked do."""
        return None

    def _function(self, classifier: Any) -> LogitsFn:
        """What the attack uses of the classifier; a plain function is that itself."""
        is_model = isinstance(classifier, ModelAccess) or hasattr(classifier, "access")
        if is_model or hasattr(classifier, "log_weights") or isinstance(classifier, keras.Model):
            return ModelAccess.of(classifier).for_attack(self)
        check_differentiable(classifier)
        return classifier

    def settings(self) -> dict[str, Any]:
        """The name and every setting as plain values; they identify the attack's results."""
        fields = [f for f in dataclasses.fields(self) if not self._is_unsaid(f)]
        values = {f.name: plain(getattr(self, f.name)) for f in fields}
        return {"name": self.name or type(self).__name__, **values}

    def _is_unsaid(self, field: dataclasses.Field) -> bool:
        return field.name in self.unsaid and getattr(self, field.name) == field.default

    def settings_at(self, eps: float) -> dict[str, Any]:
        """`settings` of the attack at that size, if some of them depend on it."""
        return self.settings()

    def eps_name(self, eps: float) -> str:
        """The perturbation size as it appears in names of result files, as published."""
        return f"eps{number_text(eps, 2)}"

    def parts(
        self,
        logits_fn: LogitsFn,
        x: Array,
        labels: Array,
        eps: float,
        target_fn: LogitsFn | None = None,
    ) -> Iterator[Callable[[], AttackedBatch]]:
        """The attack cut into calls, each of which attacks one batch.

        Args:
            target_fn: the classifier to be fooled, with fresh noise in each call; None:
                `logits_fn`.
        """
        target_fn = logits_fn if target_fn is None else target_fn
        pairs = zip(padded(x, self.batch_size), padded(labels, self.batch_size), strict=True)
        for (images, count), (label, _) in pairs:
            yield functools.partial(self._part, logits_fn, target_fn, images, label, eps, count)

    def _part(
        self, logits_fn: LogitsFn, target_fn: LogitsFn, x: Tensor, y: Tensor, eps: float, count: int
    ) -> AttackedBatch:
        images, steps = self.attack_batch(logits_fn, target_fn, x, y, eps)
        rows = lambda values: None if values is None else np.asarray(values)[:count]  # noqa: E731
        return AttackedBatch(rows(images), rows(steps))

    def attack_batch(
        self, logits_fn: LogitsFn, target_fn: LogitsFn, x: Tensor, y: Tensor, eps: float
    ) -> AttackedBatch:
        """The attack on one batch, in tensors; most attacks implement `perturb` instead.

        Args:
            target_fn: the classifier to be fooled, which may decide when to stop.
        """
        return AttackedBatch(self.perturb(logits_fn, x, y, eps))

    @abc.abstractmethod
    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """The attack on one batch: x `[B, …]`, integer y `[B]`, eps above 0."""


def number_text(value: float, digits: int = 0) -> str:
    """A number in a name: with so many digits where that is exact, else with all it needs."""
    text = f"{value:.{digits}f}"
    return text if float(text) == value else repr(float(value))


def plain(value: Any) -> Any:
    """A setting as a JSON value: objects by their own `settings()`, arrays by a digest."""
    if hasattr(value, "settings"):
        return value.settings()
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "digest": digest(value)}
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
