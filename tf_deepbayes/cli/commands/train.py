"""Train a deep Bayes classifier or a baseline: deepbayes train GFZ --data fashion_mnist.

The published settings are the defaults. The run folder holds config.json, checkpoint.npz (each
epoch), history.csv and TensorBoard logs; --resume continues a run that was stopped.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.architecture import CODE, FORMS
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.own_data import load_data
from tf_deepbayes.legacy import published_names
from tf_deepbayes.models.baselines import BASELINES
from tf_deepbayes.models.layers import likelihoods
from tf_deepbayes.runs.checkpoints import CONFIG, load_config
from tf_deepbayes.runs.naming.folders import run_name
from tf_deepbayes.runs.state.trained import copy_run, epochs_done
from tf_deepbayes.training.new_runs import OF_THE_BOUND, run_config, settled, train_run
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


def define_flags() -> None:
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
        app.define_path("data_dir", None, "folder to look for the data set in first")
    app.define_precision_flags()
    app.define_devices_flag()


def given(names: Iterable[str]) -> dict[str, Any]:
    """The flags among these that are given."""
    return {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}


def main(arguments: Sequence[str]) -> None:
    """Train the classifier named on the command line."""
    name = published_names.model_name(
        app.one_argument(arguments, "the model: GFZ … GBY, A … G, MLP, CNN or BNN")
    )
    if FLAGS.continue_from and not FLAGS.out:
        raise InputError("--continue_from needs the folder of the new run; give --out")
    if FLAGS.out and FLAGS.seeds > 1:
        raise InputError("--out is the folder of one run, --seeds asks for several; leave one out")
    for flag in given(OF_THE_BOUND) if name in BASELINES else ():
        raise InputError(f"--{flag} does not apply to {name}, it has no bound; leave it out")
    dataset = load_data(FLAGS.data, FLAGS.data_dir)
    settings = dataclasses.replace(TrainingSettings.for_data(dataset.name), **given(SETTINGS_HELP))
    sizes = given(["num_train", "likelihood", "dim_z", "architecture"])
    for seed in range(settings.seed, settings.seed + FLAGS.seeds):
        folder = app.given_or(FLAGS.out, default_folder(dataset.name, name, seed))
        if FLAGS.continue_from:
            copy_run(pathlib.Path(FLAGS.continue_from), folder)
        own = settled(dataclasses.replace(settings, seed=seed), name, folder)
        config = run_config(name, dataset, own, **sizes, computing=app.precision_settings())
        how = (FLAGS.resume or bool(FLAGS.continue_from), FLAGS.devices, FLAGS.jit_compile)
        if not train_run(config, dataset, own, folder, *how):
            print(f"all {epochs_done(folder)} epochs are done, nothing is left to train")
        print(folder, flush=True)


def default_folder(data: str, model: str, seed: int) -> pathlib.Path:
    """runs/<data>/<model>, with what is not as published in its name.

    Earlier versions left the seed out, and such a run is gone on from where it is.
    """
    parent = app.runs_folder() / data
    earlier = parent / run_name(model, FLAGS.dim_z, networks=FLAGS.architecture)
    if (earlier / CONFIG).is_file() and load_config(earlier).seed == seed:
        return earlier
    return parent / run_name(model, FLAGS.dim_z, networks=FLAGS.architecture, seed=seed)
