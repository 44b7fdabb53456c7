"""The command line of a training: which model, which settings, which folder."""

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.architecture import CODE, FORMS
from tf_deepbayes.models.layers import likelihoods
from tf_deepbayes.runs.checkpoints import CONFIG, load_config
from tf_deepbayes.runs.naming.folders import run_name
from tf_deepbayes.training.settings import TrainingSettings

FLAGS = flags.FLAGS
SETTINGS_HELP = {
    "epochs": "passes over the training images (published: 100, plane_frog 200)",
    "batch_size": "images per step (published: 50)",
    "learning_rate": "learning rate of Adam (published: 1e-4, plane_frog 5e-5)",
    "num_samples": "K of the bound; above 1 it is importance weighted (published: 1)",
    "beta": "published weighting of the bound; 1 is the evidence bound",
    "seed": "seed of initial weights, order of images and noise",
    "eval_every": "epochs between validation accuracies",
    "kl_warm_up": "steps over which log p(z|.) - log q(z|x,y) gets its weight (default: 1000 for "
    "DBX, 0 for the others; published: 0)",
}


def define() -> None:
    """The flags; training settings default to the published ones for the data set."""
    with group("Model and data"):
        classifier_flags.define_data(help_text="data set")
        flags.DEFINE_integer("num_train", None, "use the first N training images only")
        flags.DEFINE_integer("dim_z", None, "size of z (published: 64; colour images 128)")
        flags.DEFINE_enum("architecture", CODE, list(FORMS), "networks: released code or text")
        names = ", ".join(likelihoods.LIKELIHOODS)
        flags.DEFINE_string("likelihood", None, f"p(x|.): {names} (published: l2)")
    with group("Training"):
        for field in dataclasses.fields(TrainingSettings):
            define = flags.DEFINE_float if field.type is float else flags.DEFINE_integer
            define(field.name, None, SETTINGS_HELP[field.name])
        text = "train N runs with seeds from --seed on, each in a folder of its own"
        flags.DEFINE_integer("seeds", 1, text, lower_bound=1)
    with group("Files"):
        app.define_path("out", None, "run folder (default: runs/<data>/<model>[_seed<seed>])")
        flags.DEFINE_bool("resume", False, "continue the run in the folder")
        app.define_path("continue_from", None, "run folder to continue in --out")
        app.define_path("data_dir", None, "the only folder to search for the data set")
        app.define_runs_flag()
    app.define_precision_flags()
    app.define_devices_flag()


def given(names: Iterable[str]) -> dict[str, Any]:
    """The flags among these that are given."""
    return {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}


def default_folder(data: str, model: str, seed: int, layer: str | None = None) -> pathlib.Path:
    """runs/<data>/<model>, with what is not as published in its name.

    Earlier versions left the seed out, and such a run is gone on from where it is.

    Args:
        layer: what the name says of the extractor of a fusion model.
    """
    parent = app.runs_folder() / data
    earlier = parent / run_name(model, FLAGS.dim_z, layer, networks=FLAGS.architecture)
    if (earlier / CONFIG).is_file() and load_config(earlier).seed == seed:
        return earlier
    return parent / run_name(model, FLAGS.dim_z, layer, networks=FLAGS.architecture, seed=seed)
