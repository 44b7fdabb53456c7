"""Measure what each noise scheme gains: python -m benchmark.noise --runs runs/fashion_mnist.

For each trained model, K and scheme, on the first test images and several draws of the noise:
the share of predictions that change between two draws, the standard deviation between draws of the
difference of logits (runner-up and every class, less the top class), accuracy, and the effective
sample size of the predicted class. Prints a table of each figure with its standard error over the
images.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from tf_deepbayes.cli import app
from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array, effective_sample_size, logits_of
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import write_json
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.data import datasets, splits
from tf_deepbayes.inference.noise import SCHEMES
from tf_deepbayes.models import factorisations
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.runs import checkpoints, results

FLAGS = flags.FLAGS
# Figure → (heading of its table, decimals).
FIGURES = {
    "prediction_changes": ("share of predictions that change between two draws", 3),
    "runner_up_std": ("std between draws of runner-up less top logit, nats", 3),
    "difference_std": ("std between draws of a class's logit less the top one, nats", 3),
    "accuracy": ("accuracy", 3),
    "effective_sample_size": ("effective sample size of the predicted class", 2),
}


def define_flags() -> None:
    """What to measure."""
    flags.DEFINE_string("runs", None, "folder of trained runs (GFZ …)")
    flags.DEFINE_list("models", list(factorisations.FACTORISATIONS), "models")
    flags.DEFINE_list("schemes", list(SCHEMES), "noise schemes")
    flags.DEFINE_list("num_samples", ["1", "10", "100", "1000"], "values of K")
    flags.DEFINE_list("num_images", ["100", "100", "100", "20"], "test images for each K")
    flags.DEFINE_integer("draws", 4, "draws of the noise")
    flags.DEFINE_integer("batch_size", 100, "images at a time")
    flags.DEFINE_string("data_dir", None, "folder to look for the data set in first")
    flags.DEFINE_string("out", None, "JSON file to write as well")


def sizes() -> list[tuple[int, int]]:
    """(K, number of images) of the flags."""
    if len(FLAGS.num_samples) != len(FLAGS.num_images):
        raise InputError(
            f"expected a number of images for each K, got {len(FLAGS.num_images)} for "
            f"{len(FLAGS.num_samples)} values of K"
        )
    try:
        pairs = [(int(k), int(n)) for k, n in zip(FLAGS.num_samples, FLAGS.num_images, strict=True)]
    except ValueError as error:
        raise InputError(f"--num_samples and --num_images must be whole numbers: {error}") from None
    return [(check_count("num_samples", k), check_count("num_images", n)) for k, n in pairs]


def draw(
    model: LatentClassifier, images: Array, num_samples: int, scheme: str, seed: int
) -> tuple[Array, Array]:
    """Logits and effective sample sizes of one draw, `[N, C]` each."""
    logits, effective = [], []
    for part, size in metrics.padded(images, FLAGS.batch_size):
        log_w = model.log_weights(part, num_samples=num_samples, seed=seed, scheme=scheme)
        logits.append(logits_of(log_w).numpy()[:size])
        effective.append(effective_sample_size(log_w).numpy()[:size])
    return np.concatenate(logits), np.concatenate(effective)


def per_image(logits: Array, effective: Array, labels: Array) -> dict[str, Array]:
    """Every figure of each image, `[N]`.

    Args:
        logits: of D draws, `[D, N, C]`.
        effective: effective sample sizes, `[D, N, C]`.
        labels: true classes `[N]`.
    """
    draws, _, num_classes = logits.shape
    predicted = logits.argmax(2)
    counts = (predicted[:, :, None] == np.arange(num_classes)).sum(0)
    order = np.argsort(-logits.mean(0), axis=1)
    top = np.take_along_axis(logits, order[None, :, :1], 2)
    stds = np.take_along_axis((logits - top).std(0, ddof=1), order, 1)
    own = np.take_along_axis(effective, predicted[:, :, None], 2)[:, :, 0]
    return {
        "prediction_changes": 1.0 - (counts * (counts - 1)).sum(1) / (draws * (draws - 1)),
        "runner_up_std": stds[:, 1],
        "difference_std": stds[:, 1:].mean(1),
        "accuracy": (predicted == labels).mean(0),
        "effective_sample_size": own.mean(0),
    }


def measure(
    model: LatentClassifier, test: splits.Split, num_samples: int, scheme: str
) -> dict[str, dict[str, float]]:
    """{figure: its mean over the images and the standard error of that}."""
    drawn = [draw(model, test.pixels, num_samples, scheme, seed) for seed in range(FLAGS.draws)]
    logits, effective = (np.stack(values) for values in zip(*drawn, strict=True))
    found = per_image(logits, effective, test.labels)
    root = np.sqrt(len(test))
    return {n: {"mean": float(v.mean()), "error": float(v.std() / root)} for n, v in found.items()}


def measure_model(name: str) -> list[dict[str, Any]]:
    """A row for each K, with the figures of each scheme."""
    model, config = checkpoints.load_model(pathlib.Path(FLAGS.runs) / name)
    if not isinstance(model, LatentClassifier):
        raise InputError(f"{name} draws no z; leave it out of --models")
    test = datasets.load(config.data, FLAGS.data_dir).test
    rows = []
    for num_samples, count in sizes():
        own = test.first(min(count, len(test)))
        schemes = {s: measure(model, own, num_samples, s) for s in FLAGS.schemes}
        rows.append({"model": name, "K": num_samples, "images": len(own), "schemes": schemes})
        print(f"{name} K = {num_samples} measured", flush=True)
    return rows


def table(rows: Sequence[dict[str, Any]], figure: str) -> str:
    """One figure as a Markdown table: a row for each model and K, a column for each scheme."""
    heading, decimals = FIGURES[figure]
    schemes = list(rows[0]["schemes"])
    lines = [["model", "K", "images", *schemes], ["---"] * (3 + len(schemes))]
    for row in rows:
        found = [row["schemes"][scheme][figure] for scheme in schemes]
        cells = [f"{f['mean']:.{decimals}f} ± {f['error']:.{decimals}f}" for f in found]
        lines.append([row["model"], str(row["K"]), str(row["images"]), *cells])
    return "\n".join([f"\n{heading}\n", *(f"| {' | '.join(line)} |" for line in lines)])


def main(arguments: Sequence[str]) -> None:
    """Measure model by model; the JSON is written anew after each."""
    if arguments or not FLAGS.runs:
        raise InputError(f"expected --runs and flags only, got {list(arguments)}")
    if unknown := set(FLAGS.schemes) - set(SCHEMES):
        raise InputError(f"schemes must be of {', '.join(SCHEMES)}, got {', '.join(unknown)}")
    check_count("draws", FLAGS.draws, 2)
    check_count("batch_size", FLAGS.batch_size)
    rows: list[dict[str, Any]] = []
    for name in FLAGS.models:
        rows += measure_model(name)
        if FLAGS.out:
            content = {"draws": FLAGS.draws, "rows": rows, "provenance": results.provenance()}
            write_json(pathlib.Path(FLAGS.out), content)
    for figure in FIGURES:
        print(table(rows, figure))


if __name__ == "__main__":
    app.run(main, define_flags)
