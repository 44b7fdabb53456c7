"""What an attack may use of a classifier: functions of images, never the classifier."""

import contextlib
import dataclasses
import functools
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array, FeaturesFn, LogitsFn, LogWeightsFn, Tensor, by_autograph
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.metrics import are_probabilities, check_no_probabilities

OUTPUTS = ("logits", "probabilities")
TINY = np.finfo(np.float32).tiny  # log of it is −87 nats: what a probability of 0 stands for
ADVICE = "give the Keras model itself, not its predict, or a function of TensorFlow operations"


@dataclasses.dataclass(frozen=True, eq=False)
class LazyLogits:
    """A `logits_fn` that can also evaluate some classes only.

    Attributes:
        logits: `[B, …]` → `[B, C]`.
        class_logits: (images, wanted `[B, C]`) → `[B, C]`, anything finite where not wanted.
        races: it decides itself which of the wanted classes it evaluates well; `class_logits` then
            takes as `always` `[B, C]` those that it must.
    """

    logits: LogitsFn
    class_logits: Callable[..., Tensor]
    races: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        return self.logits(x)

    def some(self, x: Tensor, wanted: Tensor, always: Tensor) -> Tensor:
        """The logits where `wanted`; anything finite elsewhere."""
        options = {"always": always} if self.races else {}
        return self.class_logits(x, wanted, **options)


def in_float32(function: Any) -> Any:
    """The function of a classifier, with answers in float32 whatever its networks compute in.

    Args:
        function: a logits function, a `LazyLogits`, or a tuple with one of them as `logits_fn`.

    Raises:
        InputError: when it is called, and answers with numbers that have no graph.
    """
    if isinstance(function, tuple):
        return function._replace(logits_fn=in_float32(function.logits_fn))  # type: ignore
    if isinstance(function, LazyLogits):
        some = in_float32(function.class_logits)
        return LazyLogits(in_float32(function.logits), some, function.races)

    def answer(*inputs: Tensor, **options: Tensor) -> Tensor:
        try:
            values = function(*inputs, **options)
        except AttributeError as error:
            if "numpy" not in str(error):
                raise
            raise InputError(f"the classifier leaves TensorFlow's graph; {ADVICE}") from None
        if not tf.is_tensor(values):
            given = type(values).__name__
            raise InputError(f"the classifier must return a tensor, got {given}; {ADVICE}")
        if values.shape.rank in (2, 3) and values.shape[1] is not None:
            with contextlib.suppress(TypeError):
                _num_classes[function] = values.shape[1]
        return tf.cast(values, tf.float32)

    return answer if _is_ours(function) else by_autograph(answer)  # it may say `if` of a tensor


def _is_ours(function: Any) -> bool:
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__module__", None)).startswith("tf_deepbayes.")


def check_differentiable(function: Any) -> None:
    """InputError for a Keras model's `predict`, which returns numbers without a gradient."""
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if isinstance(owner, keras.Model) and name.startswith("predict"):
        raise InputError(f"expected a classifier, got the {name} of a Keras model; {ADVICE}")


@dataclasses.dataclass(frozen=True)
class ModelAccess:
    """Functions of `[B, H, W, channels]`. Keep one for many calls: each new one is traced again.

    Attributes:
        logits: → `[B, C]`.
        log_weights: → `[K, C, B]`, whose log-mean-exp over K are logits.
        features: → `[B, …]`, a hidden layer.
        label_logits: (images, labels) → `[K, B, C]`, the head p(y|z) before its softmax.
    """

    logits: LogitsFn
    log_weights: LogWeightsFn | None = None
    features: FeaturesFn | None = None
    label_logits: Callable[..., Tensor] | None = None

    @classmethod
    def of(cls, classifier: Any, outputs: str = "logits") -> "ModelAccess":
        """What attacks may use of any classifier.

        Args:
            classifier: a logits function `[B, H, W, channels]` → `[B, C]`, a Keras model, a
                classifier of this library or a run of one, or a `ModelAccess`.
            outputs: "probabilities" where it returns p(y|x). A Keras model that ends in a dense
                softmax layer is then attacked at the logits in front of it; elsewhere logits are
                log p, and p below 1e-38 has no gradient.

        Returns:
            The same functions at every call for the same classifier.
        """
        if outputs not in OUTPUTS:
            raise InputError(f"outputs must be one of {', '.join(OUTPUTS)}, got {outputs!r}")
        if isinstance(classifier, ModelAccess):
            return classifier
        check_differentiable(classifier)
        if not callable(classifier) and not hasattr(classifier, "access"):
            raise InputError(
                "expected a classifier: a logits function, a Keras model or a run; got "
                f"{type(classifier).__name__}"
            )
        # Kept on the classifier, so that both are freed together; a method's on its object.
        owner = getattr(classifier, "__self__", classifier)
        key = outputs if owner is classifier else (outputs, getattr(classifier, "__name__", ""))
        kept = getattr(owner, "__dict__", {}).get("_model_access", {})
        if key not in kept:
            kept = kept | {key: _access(classifier, outputs)}
            if hasattr(owner, "__dict__"):
                owner.__dict__["_model_access"] = kept
        return kept[key]

    def for_attack(self, attack: Any) -> Callable[[Tensor], Tensor]:
        """The function that the attack is called with."""
        function = getattr(self, attack.uses)
        if function is None:
            raise InputError(
                f"{type(attack).__name__} needs the classifier's {attack.uses}, which it does not "
                "have; choose an attack on the logits"
            )
        return function


def num_classes_of(function: Callable[[Tensor], Tensor]) -> int | None:
    """The number of classes C that a function of images has logits or log weights for.

    That of our classifiers and of Keras models is known; of any other function, once an attack has
    called it; until then None.
    """
    inner: Any = function
    while isinstance(inner, LazyLogits | functools.partial):
        inner = inner.logits if isinstance(inner, LazyLogits) else inner.func
    owner = getattr(inner, "__self__", inner)
    if hasattr(owner, "architecture"):
        return int(owner.architecture.num_classes)
    if isinstance(owner, keras.Model) and hasattr(owner, "output_shape"):
        return int(owner.output_shape[-1])
    with contextlib.suppress(TypeError):  # a function without weak references
        return _num_classes.get(function)
    return None


_num_classes: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def _access(classifier: Any, outputs: str) -> ModelAccess:
    if hasattr(classifier, "access"):
        return classifier.access()
    if hasattr(classifier, "log_weights"):  # one of ours
        logits: LogitsFn = functools.partial(classifier.logits)
        if hasattr(classifier, "class_logits"):
            logits = LazyLogits(logits, functools.partial(classifier.class_logits))
        log_weights = functools.partial(classifier.log_weights)
        head = getattr(classifier, "label_logits", None)
        return ModelAccess(logits, log_weights, functools.partial(classifier.features), head)
    function = classifier
    if isinstance(classifier, keras.Model):
        inner = _before_softmax(classifier) if outputs == "probabilities" else None
        if inner is not None:
            return ModelAccess(inner)
        function = functools.partial(classifier, training=False)
    if outputs == "probabilities":
        answer = in_float32(function)
        return ModelAccess(lambda x: tf.math.log(tf.maximum(answer(x), TINY)))
    return ModelAccess(function)


def _before_softmax(model: keras.Model) -> LogitsFn | None:
    """The logits of a model whose last layer is a dense softmax; None for any other."""
    last = model.layers[-1] if model.layers else None
    is_softmax = getattr(last, "activation", None) is keras.activations.softmax
    if not isinstance(last, keras.layers.Dense) or not is_softmax:
        return None
    features = keras.Model(model.inputs, last.input)

    def logits(x: Tensor) -> Tensor:
        hidden = tf.cast(features(x, training=False), last.kernel.dtype)
        products = tf.linalg.matvec(last.kernel, hidden, transpose_a=True)
        return products + last.bias if last.use_bias else products

    return logits


def check_classifier(classifier: Any, x: Array, num_classes: int, outputs: str = "logits") -> None:
    """InputError unless the classifier answers these images as `outputs` says.

    Softmax outputs attacked as logits pass through a second softmax, which hides the gradient and
    looks like robustness.

    Args:
        x: a few images `[N, H, W, channels]`.
        num_classes: that the labels need.
    """
    access = ModelAccess.of(classifier, outputs)
    if isinstance(classifier, keras.Model) and hasattr(classifier, "input_shape"):
        shape = classifier.input_shape
        if isinstance(shape, list) or not tf.TensorShape(shape[1:]).is_compatible_with(x.shape[1:]):
            raise InputError(f"the classifier takes x {shape}, the images are {list(x.shape)}")
    raw = classifier if isinstance(classifier, keras.Model) else None
    function = access.logits if raw is None else functools.partial(raw, training=False)
    values = in_float32(function)(tf.constant(x)).numpy()
    if values.ndim != 2 or len(values) != len(x):
        raise InputError(
            f"the classifier must return [B, C], got {list(values.shape)} for {len(x)} images"
        )
    if not np.isfinite(values).all():
        raise InputError("the classifier's outputs are not finite on the first images; mend it")
    if values.shape[1] < num_classes:
        raise InputError(
            f"the classifier has {values.shape[1]} outputs and the labels {num_classes} classes"
        )
    if raw is None and outputs == "probabilities":
        values = np.exp(values)
    if outputs == "logits":
        check_no_probabilities(values)
    elif not are_probabilities(values):
        raise InputError(
            'outputs="probabilities", but the outputs are not in [0, 1] with sum 1 (from '
            f'{values.min():.3g} to {values.max():.3g}); pass outputs="logits"'
        )
