"""Score saved attacks under several estimators: python -m benchmark.scores --victim zoo/mnist/GBZ.

An attack succeeds through the classifier or through its noise. Each saved attack of a run, and the
clean images it started from, are classified under each noise scheme in several fresh draws. Prints
a table with a row for each attack and a column for each scheme: the accuracy, a mean over all
images and draws, whether an image was right before the attack or not, with its 95% interval over
images. The last column is the last scheme less the first on the same images: what the first
estimator's noise took from the classifier, or lent it.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from tf_deepbayes.cli import app
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import write_json
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.data.splits import Split
from tf_deepbayes.evaluation.saved_attacks import read_attack_arrays, saved_name
from tf_deepbayes.evaluation.scoring import draw_logits
from tf_deepbayes.inference.noise import SCHEMES
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.robustness.comparisons import Interval, bootstrap, paired_interval
from tf_deepbayes.runs import results
from tf_deepbayes.runs.run import Run, load_run

FLAGS = flags.FLAGS
CLEAN = "clean images"


class Scored(NamedTuple):
    """Images to classify, with their true classes."""

    name: str
    images: Array
    labels: Array


def define_flags() -> None:
    """What to score, and how."""
    flags.DEFINE_string("victim", None, "run folder or entry of the zoo")
    flags.DEFINE_list("attacks", None, "names of its saved attacks")
    flags.DEFINE_list("schemes", ["independent", "mixture"], "noise: " + ", ".join(SCHEMES))
    flags.DEFINE_integer("num_samples", 10, "K")
    flags.DEFINE_integer("draws", 5, "fresh draws of the noise")
    flags.DEFINE_integer("batch_size", 100, "images at a time")
    flags.DEFINE_string("data_dir", None, "the only folder to search for the data set")
    app.define_path("runs", "runs", "folder of all runs")
    flags.DEFINE_string("out", None, "JSON file to write as well")


def saved(folder: pathlib.Path, test: Split) -> list[Scored]:
    """The attacks of the flags, and the clean images of each set of images before its attacks."""
    found: dict[tuple[int, ...], list[Scored]] = {}
    for given in FLAGS.attacks:
        name = saved_name(folder, given)
        arrays = read_attack_arrays(folder / f"{name}.npz")
        if "indices" not in arrays:
            raise InputError(f"{name} does not say which test images it used; run it again")
        chosen, labels = arrays["indices"], arrays["labels"]
        clean = Scored(CLEAN, test.take(chosen).pixels, labels)
        found.setdefault(tuple(chosen), [clean]).append(Scored(name, arrays["adversarial"], labels))
    return [one for several in found.values() for one in several]


def right(run: Run, scored: Scored) -> Array:
    """The share of draws in which each image is classified as its class, `[N]`.

    All attacks are scored on the same draws.
    """
    run.reseed(0)
    logits = draw_logits(run.logits_fn, scored.images, FLAGS.draws, FLAGS.batch_size)
    return (logits.argmax(-1) == scored.labels).mean(0)


def row(runs: dict[str, Run], scored: Scored) -> dict[str, Any]:
    """The accuracy under each scheme with its interval, and the last less the first."""
    shares = {scheme: right(run, scored) for scheme, run in runs.items()}
    intervals = bootstrap(np.stack(list(shares.values()), 1))
    found: dict[str, Any] = {"attack": scored.name, "images": len(scored.labels)}
    found |= dict(zip(shares, (one.__dict__ for one in intervals), strict=True))
    first, *_, last = shares.values()
    return found | {"difference": paired_interval(last, first).__dict__}


def table(rows: Sequence[dict[str, Any]], schemes: Sequence[str]) -> str:
    """The rows as a Markdown table."""
    heading = ["attack", "images", *schemes, f"{schemes[-1]} − {schemes[0]}"]
    lines = [heading, ["---"] * len(heading)]
    for one in rows:
        cells = [text(Interval(**one[name]), "") for name in schemes]
        difference = text(Interval(**one["difference"]), "+")
        lines.append([one["attack"], str(one["images"]), *cells, difference])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text(interval: Interval, sign: str) -> str:
    """As in ".876 (.830, .915)"."""
    mean, low, high = (f"{value:{sign}.3f}" for value in vars(interval).values())
    return f"{mean} ({low}, {high})"


def main(arguments: Sequence[str]) -> None:
    """Score attack by attack; the JSON is written anew after each."""
    if arguments or not FLAGS.victim or not FLAGS.attacks:
        raise InputError(f"expected --victim, --attacks and flags only, got {list(arguments)}")
    if len(FLAGS.schemes) < 2:
        raise InputError(f"expected two --schemes or more to compare, got {len(FLAGS.schemes)}")
    check_count("draws", FLAGS.draws)
    check_count("batch_size", FLAGS.batch_size)
    run = load_run(FLAGS.victim, runs=FLAGS.runs)
    by_scheme = {
        scheme: dataclasses.replace(run, sampling=Sampling(FLAGS.num_samples, scheme=scheme))
        for scheme in FLAGS.schemes
    }
    rows = []
    for scored in saved(run.folder / "attacks", run.load_data(FLAGS.data_dir).test):
        rows.append(row(by_scheme, scored))
        if FLAGS.out:
            settings = {name: FLAGS[name].value for name in ("victim", "num_samples", "draws")}
            content = {"settings": settings, "rows": rows, "provenance": results.provenance()}
            write_json(pathlib.Path(FLAGS.out), content)
    print(table(rows, FLAGS.schemes))


if __name__ == "__main__":
    app.run(main, define_flags)
