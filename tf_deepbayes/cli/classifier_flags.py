"""The command line of a trained classifier: which one, and how it samples."""

import pathlib

from absl import flags

from tf_deepbayes.cli import app
from tf_deepbayes.cli.help import group
from tf_deepbayes.data import datasets
from tf_deepbayes.inference.noise import INDEPENDENT, SCHEMES
from tf_deepbayes.inference.sampling import MODES, Sampling
from tf_deepbayes.runs.run import Run, find_run

FLAGS = flags.FLAGS
# Flags that only some apps have.
OPTIONAL = ("block_size", "jit_compile")


def define(
    whose: str = "the victim", default_data: str = "mnist", seed_of: str = "the classifier's noise"
) -> None:
    """The flags that `load` reads in every app."""
    with group("Classifier"):
        define_data(default_data)
    with group("Sampling"):
        define_sampling(whose)
        flags.DEFINE_integer("seed", 0, f"seed of {seed_of}")
    with group("Files"):
        flags.DEFINE_string("data_dir", None, "folder to look for the data set in first")
        app.define_runs_flag()


def define_data(default: str = "mnist", help_text: str = "data set of the run") -> None:
    """The data set, by name."""
    flags.DEFINE_string("data", default, f"{help_text} ({', '.join(datasets.TASKS)})")


def define_sampling(whose: str) -> None:
    """The number of draws of z, and how they are made."""
    flags.DEFINE_integer(
        "num_samples", None, f"K of {whose} (default: of its published name, or 10)"
    )
    flags.DEFINE_enum("noise", INDEPENDENT, list(SCHEMES), f"how {whose}'s K draws of z are made")


def define_victim() -> None:
    """The victim, how z is sampled and how many terms are decoded at a time."""
    with group("Classifier"):
        flags.DEFINE_string("victim", None, "run folder, model name or letter, or bayes_K10_A")
    with group("Sampling"):
        flags.DEFINE_enum("mode", "sample", MODES, "how z is sampled")
    with group("Computing"):
        flags.DEFINE_integer("block_size", None, "terms decoded at a time")


def sampling(own_count: int) -> Sampling:
    """The sampling given by the flags; K is `own_count` unless given."""
    count = own_count if FLAGS.num_samples is None else FLAGS.num_samples
    return Sampling(count, FLAGS.mode if "mode" in FLAGS else "sample", FLAGS.noise, FLAGS.seed)


def find(name: str) -> tuple[pathlib.Path, Sampling]:
    """A run's folder and its sampling, as given by the flags."""
    folder, own_count = find_run(name, FLAGS.data, app.runs_folder())
    return folder, sampling(own_count)


def load(name: str) -> Run:
    """The classifier of that name, set up by the flags."""
    folder, sampled = find(name)
    options = {flag: FLAGS[flag].value for flag in OPTIONAL if flag in FLAGS}
    return Run.load(folder, sampled, **options)
