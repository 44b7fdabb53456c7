"""The command line of a trained classifier: which one, and how it samples."""

import pathlib
import sys

from absl import flags

from tf_deepbayes.attacks.access import OUTPUTS
from tf_deepbayes.cli import app
from tf_deepbayes.cli.help import group
from tf_deepbayes.data import datasets
from tf_deepbayes.data.own_data import is_own, own_name
from tf_deepbayes.inference.noise import INDEPENDENT, SCHEMES
from tf_deepbayes.inference.sampling import MODES, Sampling
from tf_deepbayes.models.keras_classifier import is_keras_file
from tf_deepbayes.runs.naming.folders import find_run
from tf_deepbayes.runs.run import Run, keras_run
from tf_deepbayes.runs.state.trained import unfinished

FLAGS = flags.FLAGS
# Flags that only some apps have.
OPTIONAL = ("block_size", "jit_compile")
_noted: set[pathlib.Path] = set()  # unfinished runs that the user has been told of


def define(
    whose: str = "the victim", default_data: str = "mnist", seed_of: str = "the classifier's noise"
) -> None:
    """The flags that `load` reads in every app."""
    with group("Classifier"):
        define_data(default_data)
    with group("Sampling"):
        define_sampling(whose)
        flags.DEFINE_float("race", None, "nats below the best at which a class gets no more draws")
        flags.DEFINE_integer("race_draws", 1, "draws that every class gets with --race")
        flags.DEFINE_integer("seed", 0, f"seed of {seed_of}")
    with group("Files"):
        app.define_path("data_dir", None, "the only folder to search for the data set")
        app.define_runs_flag()


def define_data(default: str = "mnist", help_text: str = "data set of the run") -> None:
    """The data set by its name."""
    names = ", ".join(datasets.TASKS)
    app.define_path("data", default, f"{help_text} ({names}), or the path of your own")


def data_name() -> str:
    """The name of the data set of --data, which may be a path."""
    return own_name(FLAGS.data) if is_own(FLAGS.data) else FLAGS.data


def data_place() -> str | None:
    """Where to look for the data of a run: the path in --data, or --data_dir."""
    return FLAGS.data if is_own(FLAGS.data) else FLAGS.data_dir


def define_sampling(whose: str) -> None:
    """The number of draws of z, and how they are made."""
    flags.DEFINE_integer(
        "num_samples", None, f"K of {whose} (default: of its published name, or 10)"
    )
    flags.DEFINE_enum("noise", INDEPENDENT, list(SCHEMES), f"how {whose}'s K draws of z are made")


def define_victim() -> None:
    """The victim, how z is sampled and how many terms are decoded at a time."""
    with group("Classifier"):
        app.define_path(
            "victim", None, "run folder, model name or letter, bayes_K10_A, or a .keras file"
        )
        flags.DEFINE_enum("outputs", "logits", OUTPUTS, "what the model of a .keras file returns")
    with group("Sampling"):
        flags.DEFINE_enum("mode", "sample", MODES, "how z is sampled")
    with group("Computing"):
        flags.DEFINE_integer("block_size", None, "terms decoded at a time")


def sampling(own_count: int) -> Sampling:
    """The sampling given by the flags; K is `own_count` unless given."""
    count = own_count if FLAGS.num_samples is None else FLAGS.num_samples
    race = (FLAGS.race, FLAGS.race_draws) if "race" in FLAGS else ()
    mode = FLAGS.mode if "mode" in FLAGS else "sample"
    return Sampling(count, mode, FLAGS.noise, FLAGS.seed, *race)


def find(name: str) -> tuple[pathlib.Path, Sampling]:
    """A run's folder and its sampling, as the flags say."""
    folder, own_count = find_run(name, data_name(), app.runs_folder())
    return folder, sampling(own_count)


def load(name: str) -> Run:
    """The classifier of that name, as the flags say."""
    if is_keras_file(name):
        outputs = FLAGS.outputs if "outputs" in FLAGS else "logits"
        return keras_run(name, data_name(), app.runs_folder(), outputs, FLAGS.seed)
    folder, sampled = find(name)
    options = {flag: FLAGS[flag].value for flag in OPTIONAL if flag in FLAGS}
    run = Run.load(folder, sampled, **options)
    if (missing := unfinished(folder, run.config.training)) and folder not in _noted:
        print(f"note: the training of {folder} has not ended, {missing}", file=sys.stderr)
        _noted.add(folder)
    return run
