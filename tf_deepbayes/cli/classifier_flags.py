"""The command line of a trained classifier: which it is, and how it samples."""

from absl import flags

from tf_deepbayes.cli import app
from tf_deepbayes.data import datasets
from tf_deepbayes.inference.noise import INDEPENDENT, SCHEMES
from tf_deepbayes.inference.sampling import MODES, Sampling
from tf_deepbayes.runs.run import Run, find_run

FLAGS = flags.FLAGS
# Of the apps, some have these as well.
OPTIONAL = ("block_size", "jit_compile")


def define(
    whose: str = "the victim", default_data: str = "mnist", seed_of: str = "the classifier's noise"
) -> None:
    """The flags that `load` reads in every app."""
    flags.DEFINE_string("data", default_data, "data set of the run: " + ", ".join(datasets.TASKS))
    flags.DEFINE_integer("num_samples", None, f"K of {whose} (default: of its name, or 10)")
    flags.DEFINE_enum("noise", INDEPENDENT, list(SCHEMES), f"how {whose}'s K draws of z are made")
    flags.DEFINE_integer("seed", 0, f"of {seed_of}")
    flags.DEFINE_string("data_dir", None, "folder to look for the data set in first")
    flags.DEFINE_string("runs", None, "folder of all runs (default: runs of the project)")


def define_victim() -> None:
    """Whom to attack, with how z is sampled and how many decodes are held at a time."""
    flags.DEFINE_string("victim", None, "run folder, model name or letter, or bayes_K10_A")
    flags.DEFINE_enum("mode", "sample", MODES, "how z is sampled")
    flags.DEFINE_integer("block_size", None, "decodes held in memory at a time")


def load(name: str, app_file: str) -> Run:
    """A classifier as the flags name it; `app_file` is the app's, beside whose folder `runs` is."""
    folder, own_count = find_run(name, FLAGS.data, app.project_runs(app_file, FLAGS.runs))
    count = own_count if FLAGS.num_samples is None else FLAGS.num_samples
    mode = FLAGS.mode if "mode" in FLAGS else "sample"
    options = {flag: FLAGS[flag].value for flag in OPTIONAL if flag in FLAGS}
    return Run.load(folder, Sampling(count, mode, FLAGS.noise, FLAGS.seed), **options)
