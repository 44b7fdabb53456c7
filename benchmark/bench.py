"""Time the library against the published formulation: python -m benchmark.bench.

For each model: logits, cross-entropy gradient, PGD steps with and without lazy classes, and
training step, library and reference in turn, medians. Numbers of both must agree before they are
timed. The ratio is library / reference: above 1 the library is faster; steps of PGD are compared
with gradients of the reference.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from benchmark import measure
from benchmark.parts import counting_shares, parts_of
from tf_deepbayes import checkpoints, cli, data, factorisations, results
from tf_deepbayes.architecture import CIFAR, MNIST
from tf_deepbayes.axes import Array
from tf_deepbayes.classifier import LatentClassifier
from tf_deepbayes.errors import InputError
from tf_deepbayes.files import write_json

FLAGS = flags.FLAGS
ARCHITECTURES = {"mnist": MNIST, "cifar": CIFAR}
HEADINGS = {
    "logits": "logits",
    "gradient": "gradient",
    "pgd": "PGD",
    "lazy": "lazy PGD",
    "training": "training",
}


def define_flags() -> None:
    """What to time."""
    flags.DEFINE_list("models", list(factorisations.FACTORISATIONS), "models to time")
    flags.DEFINE_enum("sizes", "mnist", list(ARCHITECTURES), "sizes of the networks")
    flags.DEFINE_integer("repeats", 5, "timings of each; the median counts", lower_bound=1)
    flags.DEFINE_integer("batch_size", 100, "images of logits and gradient", lower_bound=1)
    flags.DEFINE_integer("num_samples", 10, "K", lower_bound=1)
    flags.DEFINE_enum(
        "clock", "wall", list(measure.CLOCKS), "cpu: processor time, for a machine that is busy"
    )
    flags.DEFINE_string("runs", None, "folder of trained runs (GFZ …), instead of random weights")
    flags.DEFINE_string("out", None, "JSON file to write as well")


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
    x, labels = tf.constant(images), tf.constant(classes)
    shape = [FLAGS.num_samples, model.architecture.num_classes, len(x), model.architecture.dim_z]
    noise = tf.random.stateless_normal(shape, [0, 1])
    parts, references = parts_of(model, x, labels, noise)
    timed = {what: part.ours for what, part in parts.items()}
    timed |= {f"reference {what}": call for what, call in references.items()}
    timed["matrix"] = measure.matrix_product()
    seconds = measure.alternate(timed, FLAGS.repeats, measure.CLOCKS[FLAGS.clock])
    row: dict[str, Any] = {"model": name, "counting": counting_shares(model, x, labels, noise)}
    for what, part in parts.items():
        reference = f"reference {part.reference}"
        row[what] = {
            "library": part.steps * part.things / seconds[what],
            "reference": part.things / seconds[reference],
            "ratio": part.steps * seconds[reference] / seconds[what],
        }
    row["matrix_gflops"] = measure.MATRIX_PRODUCT_FLOPS / seconds["matrix"] / 1e9
    row["share_of_matrix"] = share_of_matrix(model, row)
    return row


def share_of_matrix(model: LatentClassifier, row: dict[str, Any]) -> float | None:
    """Rate of the decoder's operations in logits / that of a matrix product; None without p(x|·).

    The operations are those of the layers as defined; all the rest of the logits counts as time.
    """
    if not model.has_p_x:
        return None
    a = model.architecture
    inputs = a.dim_z + (a.num_classes if hasattr(model, "p_x_zy") else 0)
    outputs = a.input_shape[-1] * model.likelihood.num_parameters
    decodes = FLAGS.num_samples * a.num_classes * row["logits"]["library"]
    return decodes * measure.decode_flops(a, inputs, outputs) / (row["matrix_gflops"] * 1e9)


def show(row: dict[str, Any]) -> None:
    """A line of rates with ratios, and one of shares."""
    cells = [f"{row[what]['library']:9.1f} ({row[what]['ratio']:5.2f})" for what in HEADINGS]
    print(f"{row['model']:6}", *cells)
    shares = [f"{share:.0%}" for share in row["counting"].values()]
    notes = [f"terms that count {shares[0]}, lazily {shares[1]}"]
    if row["share_of_matrix"] is not None:
        notes.append(f"decoder at {row['share_of_matrix']:.0%} of a matrix product's rate")
    print("      ", "; ".join(notes), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Print the table and write the JSON."""
    if arguments:
        raise InputError(f"expected flags only, got {list(arguments)}")
    where = f"runs in {FLAGS.runs}" if FLAGS.runs else f"{FLAGS.sizes} sizes, random weights"
    print(f"{where}; K = {FLAGS.num_samples}, batch {FLAGS.batch_size}; rates per second")
    print("model ", *(f"{heading:>9} (  ×  )" for heading in HEADINGS.values()))
    rows = []
    for name in FLAGS.models:
        rows.append(bench(name))
        show(rows[-1])
    if FLAGS.out:
        settings = {
            key: FLAGS[key].value for key in ("runs", "sizes", "num_samples", "batch_size", "clock")
        }
        write_json(
            pathlib.Path(FLAGS.out),
            {"settings": settings, "rows": rows, "provenance": results.provenance()},
        )


if __name__ == "__main__":
    cli.run(main, define_flags)
