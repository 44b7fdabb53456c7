"""Time the library against the published formulation: python benchmark/bench.py.

For each model: logits, cross-entropy gradient, PGD steps and training step, library and reference
in turn, medians. Numbers of both must agree before they are timed. The ratio is library /
reference: above 1 the library is faster.
"""

import pathlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmark.reference import Reference
from tf_deepbayes import checkpoints, cli, data, factorisations, results
from tf_deepbayes.architecture import CIFAR, MNIST
from tf_deepbayes.attacks import PGD
from tf_deepbayes.axes import Array, LogitsFn, Tensor
from tf_deepbayes.classifier import LatentClassifier
from tf_deepbayes.errors import InputError
from tf_deepbayes.files import write_json
from tf_deepbayes.optimizer import EPSILON, PublishedAdam
from tf_deepbayes.trainers import BoundTrainer

FLAGS = flags.FLAGS
ARCHITECTURES = {"mnist": MNIST, "cifar": CIFAR}
# Largest difference of logits allowed, relative to the largest logit: float32 sums of 784 terms.
AGREEMENT = 1e-4
PGD_STEPS = 2
Timed = Callable[[], Any]


def define_flags() -> None:
    """What to time."""
    flags.DEFINE_list("models", list(factorisations.FACTORISATIONS), "models to time")
    flags.DEFINE_enum("sizes", "mnist", list(ARCHITECTURES), "sizes of the networks")
    flags.DEFINE_integer("repeats", 5, "timings of each; the median counts")
    flags.DEFINE_integer("batch_size", 100, "images of logits and gradient")
    flags.DEFINE_integer("num_samples", 10, "K")
    flags.DEFINE_string("runs", None, "folder of trained runs (GFZ …), instead of random weights")
    flags.DEFINE_string("out", None, "JSON file to write as well")


def alternate(ours: Timed, theirs: Timed, repeats: int) -> tuple[float, float]:
    """Median seconds of both, timed in turn after one call each to trace."""
    times: tuple[list[float], list[float]] = ([], [])
    for function in (ours, theirs):
        function()
    for _ in range(repeats):
        for function, found in zip((ours, theirs), times, strict=True):
            started = time.perf_counter()
            function()
            found.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def gradient_of(
    logits_fn: Callable[[Tensor], Tensor], labels: Tensor
) -> Callable[[Tensor], Tensor]:
    """x → gradient of the summed cross-entropy."""

    @tf.function
    def gradient(x: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits_fn(x))
        return tape.gradient(loss, x)

    return gradient


def training_steps(
    model: LatentClassifier, x: Tensor, y: Tensor, noise: Tensor
) -> tuple[Timed, Timed]:
    """One Adam step of the library and of the reference, on the same batch and noise."""
    trainer = BoundTrainer(model)
    trainer.compile(PublishedAdam(1e-6))
    reference, optimizer = Reference(model), keras.optimizers.Adam(1e-6, epsilon=EPSILON)
    variables = model.trainable_variables
    trainer.optimizer.build(variables)
    optimizer.build(variables)

    @tf.function
    def ours() -> Tensor:
        return trainer.update(x, y, noise)[0]

    @tf.function
    def theirs() -> Tensor:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(reference.bound(x, y, noise[:, 0]))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return ours, theirs


def check_agreement(model: str, ours: Tensor, theirs: Tensor) -> None:
    """Refuse to time numbers that differ."""
    gap = float(tf.reduce_max(tf.abs(ours - theirs)) / tf.reduce_max(tf.abs(theirs)))
    if not gap < AGREEMENT:
        raise InputError(f"{model}: library and reference differ by {gap:.1e}; not timed")


def pgd_steps(
    logits_fn: LogitsFn, gradient: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor
) -> tuple[Timed, Timed]:
    """A few steps of the library's PGD, and as many gradients of the reference."""
    attack = PGD(nb_iter=PGD_STEPS, batch_size=len(x))
    images, y = x.numpy(), labels.numpy()

    def theirs() -> None:
        for _ in range(PGD_STEPS):
            gradient(x)

    return lambda: attack(logits_fn, images, y, 0.1), theirs


def model_and_images(name: str) -> tuple[LatentClassifier, Array, Array]:
    """A trained run with its test images, or random weights and images."""
    random = np.random.default_rng(0)
    if FLAGS.runs:
        model, config = checkpoints.load_model(pathlib.Path(FLAGS.runs) / name)
        assert isinstance(model, LatentClassifier)
        test = data.load(config.data).test.first(FLAGS.batch_size)
        return model, test.pixels, test.labels
    architecture = ARCHITECTURES[FLAGS.sizes]
    x = random.uniform(size=[FLAGS.batch_size, *architecture.input_shape]).astype(np.float32)
    labels = random.integers(architecture.num_classes, size=len(x))
    return factorisations.get(name)(architecture), x, labels


def bench(name: str) -> dict[str, Any]:
    """Rates and ratios of one model."""
    model, images, classes = model_and_images(name)
    architecture, random = model.architecture, np.random.default_rng(1)
    x, labels = tf.constant(images), tf.constant(classes)
    noise_shape = [FLAGS.num_samples, architecture.num_classes, len(x), architecture.dim_z]
    noise = tf.constant(random.normal(size=noise_shape), tf.float32)
    ours = lambda x: model.logits(x, noise)  # noqa: E731
    compiled = tf.function(Reference(model).logits)
    theirs = lambda x: compiled(x, noise)  # noqa: E731
    check_agreement(name, ours(x), theirs(x))
    step_noise = tf.constant(random.normal(size=[1, 1, 50, architecture.dim_z]), tf.float32)
    y = tf.one_hot(labels[:50], architecture.num_classes)
    gradients = gradient_of(ours, labels), gradient_of(theirs, labels)
    pairs: dict[str, tuple[Timed, Timed, int]] = {
        "logits": (lambda: ours(x), lambda: theirs(x), len(x)),
        "gradient": (lambda: gradients[0](x), lambda: gradients[1](x), len(x)),
        "pgd": (*pgd_steps(ours, gradients[1], x, labels), PGD_STEPS * len(x)),
        "training": (*training_steps(model, x[:50], y, step_noise), 1),
    }
    row: dict[str, Any] = {"model": name}
    for what, (mine, reference, count) in pairs.items():
        times = alternate(mine, reference, FLAGS.repeats)
        row[what] = {
            "library": count / times[0],
            "reference": count / times[1],
            "ratio": times[1] / times[0],
        }
    return row


def main(arguments: Sequence[str]) -> None:
    """Print a table: library rate, reference rate, ratio."""
    if arguments:
        raise InputError(f"expected flags only, got {list(arguments)}")
    print(
        f"{FLAGS.sizes} sizes, K = {FLAGS.num_samples}, batch {FLAGS.batch_size}; training batch 50"
    )
    print("model   logits/s  (×)      gradients/s  (×)     PGD steps/s  (×)     training/s  (×)")
    rows = []
    for name in FLAGS.models:
        row = bench(name)
        rows.append(row)
        cells = [
            f"{row[what]['library']:8.1f} ({row[what]['ratio']:5.2f})   "
            for what in ("logits", "gradient", "pgd", "training")
        ]
        print(f"{name:6}", *cells, flush=True)
    if FLAGS.out:
        write_json(
            pathlib.Path(FLAGS.out),
            {"rows": rows, "provenance": results.provenance()},
        )


if __name__ == "__main__":
    cli.run(main, define_flags)
