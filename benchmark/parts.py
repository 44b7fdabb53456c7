"""What the benchmark times of one model: the library's calls, and those of the reference."""

import functools
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from benchmark.measure import Timed
from benchmark.reference import Reference
from benchmark.training.steps import BATCH, STEPS, random_images, trainer_and_steps
from tf_deepbayes.attacks import PGD
from tf_deepbayes.attacks.access import LazyLogits
from tf_deepbayes.core.architecture import CIFAR, MNIST
from tf_deepbayes.core.axes import Tensor, logits_of, significant
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data import datasets
from tf_deepbayes.inference.log_weights import ATTACK_TOLERANCE
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.models import factorisations
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.training.steps.adam import EPSILON

ARCHITECTURES = {"mnist": MNIST, "cifar": CIFAR}
# Largest difference allowed, relative to the largest value: float32 sums of 784 terms; a gradient
# has coefficients that are exponentials of them.
AGREEMENT = {"logits": 1e-4, "gradient": 1e-3}
TINY = float(np.finfo(np.float32).tiny)
EPS = 0.1
PGD_STEPS = 2
RACE = 12.0  # nats: what it leaves out of p(y|x) is below 1e-3 on nearly all images (noise.py)
LAZY = 10  # as many steps as from one look at all classes to the next


class Part(NamedTuple):
    """Something that both do.

    Attributes:
        ours: the library's call.
        reference: the name of the reference's call.
        steps: how many calls of the reference do as much.
        things: what one of them does: images, or a training step.
    """

    ours: Timed
    reference: str
    steps: int
    things: int


class Case(NamedTuple):
    """A model and its images.

    Attributes:
        name: of the factorisation.
        sizes: of its networks, one of `ARCHITECTURES`; for random weights.
        runs: folder of trained runs, used instead.
        batch_size: images.
        num_samples: K.
        data_dir: folder of the data of trained runs, the only one searched; None: the usual places.
    """

    name: str
    sizes: str
    runs: str | None
    batch_size: int
    num_samples: int
    data_dir: str | None = None

    def load(self) -> tuple[LatentClassifier, Tensor, Tensor, Tensor]:
        """(model, images, labels, noise `[K, C, B, dim_z]`)."""
        if self.runs:
            model, config = checkpoints.load_model(pathlib.Path(self.runs) / self.name)
            if not isinstance(model, LatentClassifier):
                raise InputError(f"expected a deep Bayes classifier, got the run of {config.model}")
            test = datasets.load(config.data, self.data_dir).test.first(self.batch_size)
            x, labels = test.pixels, test.labels
        else:
            architecture = ARCHITECTURES[self.sizes]
            model = factorisations.get(self.name)(architecture)
            x, labels = random_images(architecture, self.batch_size)
        own = model.architecture
        shape = [self.num_samples, own.num_classes, len(x), own.dim_z]
        noise = tf.random.stateless_normal(shape, [0, 1])
        return model, tf.constant(x), tf.constant(labels), noise

    def calls(self) -> dict[str, Timed]:
        """All that is timed, by name."""
        return all_calls(*parts_of(*self.load()))


def all_calls(parts: dict[str, Part], references: dict[str, Timed]) -> dict[str, Timed]:
    """The library's calls under their names, the reference's under "reference …"."""
    theirs = {f"reference {what}": call for what, call in references.items()}
    return {what: part.ours for what, part in parts.items()} | theirs


def parts_of(
    model: LatentClassifier, x: Tensor, labels: Tensor, noise: Tensor
) -> tuple[dict[str, Part], dict[str, Timed]]:
    """What is timed of the library, and of the reference.

    Args:
        x: images `[B, H, W, channels]` with their `labels` `[B]`.
        noise: `[K, C, B, dim_z]`; attacks with lazy classes draw their own, as many samples.
    """
    ours = lambda x: model.logits(x, noise)  # noqa: E731
    compiled = tf.function(Reference(model).logits)
    theirs = lambda x: compiled(x, noise)  # noqa: E731
    gradient, reference_gradient = _gradient(ours, labels), _gradient(theirs, labels)
    steps, reference_step = _training_steps(model, x, labels)
    pgd, lazy = _attacks(model, x, labels, noise)
    parts = {
        "logits": Part(lambda: ours(x), "logits", 1, len(x)),
        "gradient": Part(lambda: gradient(x), "gradient", 1, len(x)),
        "pgd": Part(pgd, "gradient", PGD_STEPS, len(x)),
        "lazy": Part(lazy, "gradient", LAZY, len(x)),
        "training": Part(steps, "training", STEPS, 1),
    }
    parts |= _other_estimators(model, x, len(noise))
    references: dict[str, Timed] = {
        "logits": lambda: theirs(x),
        "gradient": lambda: reference_gradient(x),
        "training": reference_step,
    }
    return parts, references


def _other_estimators(model: LatentClassifier, x: Tensor, num_samples: int) -> dict[str, Part]:
    """Logits of the estimator that needs fewer decodes: a mixture of one draw a class, or a race.

    They are other estimates of the same p(y|x), so that they are not compared with the reference's.
    """
    if not hasattr(model, "p_x_zy"):
        name, sampling = "mixture", Sampling(1, scheme="mixture")
    elif num_samples > 1:
        name, sampling = "race", Sampling(num_samples, scheme="shared", race=RACE)
    else:
        return {}
    return {name: Part(lambda: model.logits(x, sampling=sampling), "logits", 1, len(x))}


def counting_shares(
    model: LatentClassifier, x: Tensor, labels: Tensor, noise: Tensor
) -> dict[str, float]:
    """Shares of the terms that count for the gradient of cross-entropy, and with lazy classes."""
    log_w = model.log_weights(x, noise)
    with tf.GradientTape() as tape:
        tape.watch(log_w)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits_of(log_w))
    coefficients = tape.gradient(loss, log_w)
    share = lambda counts: float(tf.reduce_mean(tf.cast(counts, tf.float32)))  # noqa: E731
    return {
        "gradient": share(significant(coefficients)),
        "lazy": share(significant(coefficients, ATTACK_TOLERANCE)),
    }


def _gradient(logits_fn: Callable[[Tensor], Tensor], labels: Tensor) -> Callable[[Tensor], Tensor]:
    """x → gradient of the summed cross-entropy."""

    @tf.function
    def gradient(x: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits_fn(x))
        return tape.gradient(loss, x)

    return gradient


def _attacks(
    model: LatentClassifier, x: Tensor, labels: Tensor, noise: Tensor
) -> tuple[Timed, Timed]:
    """A few steps of PGD with every class, and as many as it takes with lazy classes."""
    images, classes = x.numpy(), labels.numpy()
    every_class = functools.partial(model.logits, noise=noise)
    pgd = PGD(nb_iter=PGD_STEPS, batch_size=len(x))
    drawn = functools.partial(model.logits, num_samples=len(noise))
    some = functools.partial(model.class_logits, num_samples=len(noise))
    chooser = LazyLogits(drawn, some)
    lazy = PGD(nb_iter=LAZY, batch_size=len(x), lazy_classes=LAZY)
    return (
        lambda: pgd(every_class, images, classes, EPS),
        lambda: lazy(chooser, images, classes, EPS),
    )


def _training_steps(model: LatentClassifier, x: Tensor, labels: Tensor) -> tuple[Timed, Timed]:
    """Adam steps of the library, as `train` takes them, and one of the reference on a batch.

    The library's have to find the batch, draw its noise and keep running means as well.
    """
    architecture = model.architecture
    x = tf.repeat(x, -(-BATCH // len(x)), axis=0)[:BATCH]
    labels = tf.repeat(labels, -(-BATCH // len(labels)))[:BATCH]
    y = tf.one_hot(labels, architecture.num_classes)
    noise = tf.random.stateless_normal([1, 1, BATCH, architecture.dim_z], [0, 2])
    _, steps, rows = trainer_and_steps(model, x.numpy(), labels.numpy())
    reference, optimizer = Reference(model), keras.optimizers.Adam(1e-6, epsilon=EPSILON)
    variables = model.trainable_variables
    optimizer.build(variables)

    @tf.function
    def theirs() -> Tensor:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(reference.bound(x, y, noise[:, 0]))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return lambda: steps.run(rows), theirs


def check_agreement(model: str, calls: dict[str, Timed]) -> None:
    """Refuse to time numbers that differ."""
    for what, most in AGREEMENT.items():
        ours, theirs = calls[what](), calls[f"reference {what}"]()
        # A model at chance may have no gradient at all, which must be so of both then.
        largest = tf.maximum(tf.reduce_max(tf.abs(theirs)), TINY)
        gap = float(tf.reduce_max(tf.abs(ours - theirs)) / largest)
        if not gap < most:
            raise InputError(
                f"{model}: {what} of library and reference differ by {gap:.1e}; not timed"
            )
