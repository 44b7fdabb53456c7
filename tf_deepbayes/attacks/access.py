"""What an attack may use of a classifier: functions of images, never the classifier."""

import dataclasses
import functools
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array, FeaturesFn, LogitsFn, LogWeightsFn, Tensor
from tf_deepbayes.core.errors import InputError

OUTPUTS = ("logits", "probabilities")
TINY = np.finfo(np.float32).tiny  # log of it is −87 nats: what a probability of 0 stands for
SUM_TOLERANCE = 1e-3  # of probabilities, in whatever precision they were computed


@dataclasses.dataclass(frozen=True, eq=False)
class LazyLogits:
    """A `logits_fn` that can also evaluate some classes only.

    Attributes:
        logits: `[B, …]` → `[B, C]`.
        class_logits: (images, wanted `[B, C]`) → `[B, C]`, anything finite where not wanted.
    """

    logits: LogitsFn
    class_logits: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        return self.logits(x)

    def some(self, x: Tensor, wanted: Tensor) -> Tensor:
        """The logits where `wanted`; anything finite elsewhere."""
        return self.class_logits(x, wanted)


@dataclasses.dataclass(frozen=True)
class ModelAccess:
    """Functions of `[B, H, W, channels]`. Keep one for many calls: each new one is traced again.

    Attributes:
        logits: → `[B, C]`.
        log_weights: → `[K, C, B]`, whose log-mean-exp over K are logits.
        features: → `[B, …]`, a hidden layer.
    """

    logits: LogitsFn
    log_weights: LogWeightsFn | None = None
    features: FeaturesFn | None = None

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
        if is_predict(classifier):
            raise InputError("model.predict has no gradient; give the model itself")
        if not callable(classifier) and not hasattr(classifier, "access"):
            raise InputError(
                "expected a classifier: a logits function, a Keras model or a run; got "
                f"{type(classifier).__name__}"
            )
        # Kept on the classifier, so that both are freed together.
        kept = getattr(classifier, "__dict__", {}).get("_model_access", {})
        if outputs not in kept:
            kept = kept | {outputs: _access(classifier, outputs)}
            if hasattr(classifier, "__dict__"):
                classifier.__dict__["_model_access"] = kept
        return kept[outputs]

    def for_attack(self, attack: Any) -> Callable[[Tensor], Tensor]:
        """The function that the attack is called with."""
        function = getattr(self, attack.uses)
        if function is None:
            raise InputError(
                f"{type(attack).__name__} needs the classifier's {attack.uses}, which it does not "
                "have; choose an attack on the logits"
            )
        return function


def is_predict(classifier: Any) -> bool:
    """Whether this is `model.predict` of a Keras model, which answers with arrays."""
    of_model = isinstance(getattr(classifier, "__self__", None), keras.Model)
    return of_model and classifier.__name__ == "predict"


def num_classes_of(function: Callable[[Tensor], Tensor], x: Array) -> int:
    """The number of classes C that a function of images has logits or log weights for.

    That of our classifiers and of Keras models is known; any other function is called once.
    """
    inner: Any = function
    while isinstance(inner, LazyLogits | functools.partial):
        inner = inner.logits if isinstance(inner, LazyLogits) else inner.func
    owner = getattr(inner, "__self__", inner)
    if hasattr(owner, "architecture"):
        return int(owner.architecture.num_classes)
    if isinstance(owner, keras.Model) and owner.built:
        return int(owner.output_shape[-1])
    try:
        return _num_classes.get(function) or _num_classes.setdefault(function, _asked(function, x))
    except TypeError:  # a function without weak references
        return _asked(function, x)


def _asked(function: Callable[[Tensor], Tensor], x: Array) -> int:
    found = function(tf.constant(x))
    if not isinstance(found, tf.Tensor):
        raise InputError(
            f"the classifier returns {type(found).__name__}, which has no gradient; return a "
            "tensor, such as model(x) instead of model.predict(x)"
        )
    return int(found.shape[1])


_num_classes: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def _access(classifier: Any, outputs: str) -> ModelAccess:
    if hasattr(classifier, "access"):
        return classifier.access()
    if hasattr(classifier, "log_weights"):  # one of ours
        logits: LogitsFn = functools.partial(classifier.logits)
        if hasattr(classifier, "class_logits"):
            logits = LazyLogits(logits, functools.partial(classifier.class_logits))
        log_weights = functools.partial(classifier.log_weights)
        return ModelAccess(logits, log_weights, functools.partial(classifier.features))
    function = classifier
    if isinstance(classifier, keras.Model):
        inner = _before_softmax(classifier) if outputs == "probabilities" else None
        if inner is not None:
            return ModelAccess(inner)
        function = functools.partial(_keras_logits, classifier)
    if outputs == "probabilities":
        return ModelAccess(lambda x: tf.math.log(tf.maximum(function(x), TINY)))
    return ModelAccess(function)


def _keras_logits(model: keras.Model, x: Tensor) -> Tensor:
    """The model's outputs as float32, in which attacks compute, whatever its own precision."""
    return tf.cast(model(x, training=False), tf.float32)


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
        return tf.cast(products + last.bias if last.use_bias else products, tf.float32)

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
    values = (raw(x, training=False) if raw is not None else access.logits(tf.constant(x))).numpy()
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
    sums = np.abs(values.sum(1) - 1.0) < SUM_TOLERANCE
    are_probabilities = bool((values >= 0).all() and (values <= 1 + SUM_TOLERANCE).all())
    are_probabilities &= bool(sums.all())
    if are_probabilities and outputs == "logits":
        raise InputError(
            "the classifier's outputs lie in [0, 1] and sum to 1: they are probabilities, and "
            'attacking them as logits would hide the gradient; pass outputs="probabilities"'
        )
    if not are_probabilities and outputs == "probabilities":
        raise InputError(
            'outputs="probabilities", but the outputs are not in [0, 1] with sum 1 (from '
            f'{values.min():.3g} to {values.max():.3g}); pass outputs="logits"'
        )
