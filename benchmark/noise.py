"""Measure what each noise scheme gains: python -m benchmark.noise --runs runs/fashion_mnist.

For each trained model, K and scheme, on the first test images and several draws of the noise:
the share of predictions that change between two draws, the standard deviation between draws of the
difference of logits (runner-up and every class, less the top class), accuracy, the effective
sample size of the predicted class, and the points (decodes) that an image takes. Of a race, named
as in shared+race8r1, also what it leaves out: the share of p(y|x), and the images for which that is
above 0.001. Prints a table of each figure with its standard error over the images; a scheme that
does not fit a model or K has no figure.
"""

import functools
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from tf_deepbayes.cli import app
from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array, Tensor, effective_sample_size, logits_of
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import write_json
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.data import datasets, splits
from tf_deepbayes.inference.noise import SCHEMES
from tf_deepbayes.inference.sampling import Sampling, raced
from tf_deepbayes.models import factorisations
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.fusion.classifier import FusionClassifier, latent_of
from tf_deepbayes.runs import checkpoints, results

FLAGS = flags.FLAGS
NEGLIGIBLE = 1e-3
# Figure → (heading of its table, decimals).
FIGURES = {
    "prediction_changes": ("share of predictions that change between two draws", 3),
    "runner_up_std": ("std between draws of runner-up less top logit, nats", 3),
    "difference_std": ("std between draws of a class's logit less the top one, nats", 3),
    "accuracy": ("accuracy", 3),
    "effective_sample_size": ("effective sample size of the predicted class", 2),
    "points": ("points evaluated for an image", 1),
    "left_out": ("share of p(y|x) that a race leaves out", 5),
    "left_out_above": (f"share of images for which that is above {NEGLIGIBLE}", 3),
}
RACE = re.compile(r"(?P<scheme>.+?)(\+race(?P<race>[0-9.]+)(r(?P<draws>[0-9]+))?)?")


def define_flags() -> None:
    """What to measure."""
    flags.DEFINE_string("runs", None, "folder of trained runs (GFZ …)")
    flags.DEFINE_list("models", list(factorisations.FACTORISATIONS), "models")
    schemes = [*SCHEMES, "shared+race8r1", "shared+race8r2"]
    flags.DEFINE_list("schemes", schemes, "noise schemes, with +race<nats>r<draws> a race")
    flags.DEFINE_list("num_samples", ["1", "10", "100", "1000"], "values of K")
    flags.DEFINE_list("num_images", ["100", "100", "100", "20"], "test images for each K")
    flags.DEFINE_integer("draws", 4, "draws of the noise")
    flags.DEFINE_integer("batch_size", 100, "images at a time")
    flags.DEFINE_string("data_dir", None, "the only folder to search for the data set")
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


def sampling_of(name: str, num_samples: int, seed: int) -> Sampling:
    """The sampling of a column's name, see `Sampling.noise`; InputError when there is none."""
    found = RACE.fullmatch(name)
    if found is None:
        raise InputError("a name of --schemes is empty; leave out the comma")
    sampling = Sampling(num_samples, scheme=found["scheme"], seed=seed)
    if found["race"] is None:
        return sampling
    race = {"race": float(found["race"]), "race_draws": int(found["draws"] or 1)}
    return Sampling.of(sampling, **race)


def draw(
    model: LatentClassifier | FusionClassifier, images: Array, sampling: Sampling
) -> dict[str, Array]:
    """One draw: logits and effective sample sizes `[N, C]`, points and what was left out `[N]`.

    A race is held on the log weights of all draws, so that what it leaves out is known.
    """
    found: dict[str, list[Array]] = {}
    whole = Sampling.of(sampling, race=None)
    for part, size in metrics.padded(images, FLAGS.batch_size):
        log_w = model.log_weights(part, sampling=whole)
        for name, values in outcome(log_w, sampling).items():
            found.setdefault(name, []).append(values.numpy()[:size])
    return {name: np.concatenate(values) for name, values in found.items()}


def outcome(log_w: Tensor, sampling: Sampling) -> dict[str, Tensor]:
    """What `draw` says of a batch, from the log weights of every class's draws."""
    result = {
        "logits": logits_of(log_w),
        "effective": effective_sample_size(log_w),
        "points": tf.fill(tf.shape(log_w)[2:], float(sampling.num_samples * log_w.shape[1])),
        "left_out": tf.zeros(tf.shape(log_w)[2:]),
    }
    if sampling.race is None:
        return result
    wanted = tf.ones(tf.shape(log_w)[1:], tf.bool)
    kept_w, left_out = raced(functools.partial(some, log_w), sampling, wanted)
    lost = tf.transpose(tf.cast(left_out, tf.float32))
    saved = (sampling.num_samples - sampling.race_draws) * tf.reduce_sum(lost, 1)
    return result | {
        "logits": logits_of(kept_w),
        "points": result["points"] - saved,
        "left_out": tf.reduce_sum(lost * tf.nn.softmax(result["logits"]), 1),
    }


def some(log_w: Tensor, first: int, count: int, wanted: Tensor) -> Tensor:
    """The log weights of some samples."""
    return log_w[first : first + count]


def per_image(logits: Array, effective: Array, labels: Array) -> dict[str, Array]:
    """The figures of each image that compare draws, `[N]`.

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
    model: LatentClassifier | FusionClassifier, test: splits.Split, num_samples: int, scheme: str
) -> dict[str, dict[str, float]]:
    """{figure: its mean over the images and the standard error of that}; empty if refused."""
    try:
        samplings = [sampling_of(scheme, num_samples, seed) for seed in range(FLAGS.draws)]
        drawn = [draw(model, test.pixels, sampling) for sampling in samplings]
    except InputError:
        return {}
    stacked = {name: np.stack([values[name] for values in drawn]) for name in drawn[0]}
    found = per_image(stacked["logits"], stacked["effective"], test.labels)
    found |= {name: stacked[name].mean(0) for name in ("points", "left_out")}
    found["left_out_above"] = (stacked["left_out"] > NEGLIGIBLE).mean(0)
    root = np.sqrt(len(test))
    return {n: {"mean": float(v.mean()), "error": float(v.std() / root)} for n, v in found.items()}


def measure_model(name: str) -> list[dict[str, Any]]:
    """A row for each K, with the figures of each scheme."""
    model, config = checkpoints.load_model(pathlib.Path(FLAGS.runs) / name)
    if not isinstance(latent_of(model), LatentClassifier):
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
        found = [row["schemes"][scheme].get(figure) for scheme in schemes]
        cells = [
            f"{f['mean']:.{decimals}f} ± {f['error']:.{decimals}f}" if f else "–" for f in found
        ]
        lines.append([row["model"], str(row["K"]), str(row["images"]), *cells])
    return "\n".join([f"\n{heading}\n", *(f"| {' | '.join(line)} |" for line in lines)])


def main(arguments: Sequence[str]) -> None:
    """Measure model by model; the JSON is written anew after each."""
    if arguments or not FLAGS.runs:
        raise InputError(f"expected --runs and flags only, got {list(arguments)}")
    for name in FLAGS.schemes:
        sampling_of(name, 10, 0)
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
