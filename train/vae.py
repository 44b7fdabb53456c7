"""Train a deep Bayes classifier or a baseline: python train/vae.py GFZ --data fashion_mnist.

The published settings are the defaults. The run folder holds config.json, checkpoint.npz (each
epoch), history.csv and TensorBoard logs; --resume continues a run that was stopped.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data import datasets
from tf_deepbayes.legacy import published_names
from tf_deepbayes.models.baselines import BASELINES
from tf_deepbayes.models.layers import likelihoods
from tf_deepbayes.runs.checkpoints import RunConfig, prepare_folder
from tf_deepbayes.runs.run import run_name
from tf_deepbayes.training.settings import BOUND_SETTINGS, TrainingSettings
from tf_deepbayes.training.strategies import is_chief, training_strategy
from tf_deepbayes.training.train import train

FLAGS = flags.FLAGS
# Settings that a resumed run may change: they say how long, how to watch and how to compute, not
# what is computed.
CHANGEABLE = ("epochs", "eval_every", *app.PRECISION_FLAGS)
# Flags of the bound, which baselines do not have.
OF_THE_BOUND = ("likelihood", "dim_z", *BOUND_SETTINGS)
SETTINGS_HELP = {
    "epochs": "passes over the training images (published: 100, plane_frog 200)",
    "batch_size": "images per step (published: 50)",
    "learning_rate": "of Adam (published: 1e-4, plane_frog 5e-5)",
    "num_samples": "K of the bound; above 1 it is importance weighted (published: 1)",
    "beta": "published weighting of the bound; 1 is the evidence bound",
    "seed": "of initial weights, order of images and noise",
    "eval_every": "epochs between validation accuracies",
}


def define_flags() -> None:
    """The flags; training settings left out are the published ones of the data set."""
    flags.DEFINE_string("data", "mnist", "data set: " + ", ".join(datasets.TASKS))
    flags.DEFINE_string("data_dir", None, "folder to look for the data set in first")
    flags.DEFINE_string("out", None, "run folder (default: runs/<data>/<model>)")
    flags.DEFINE_bool("resume", False, "continue the run in the folder")
    flags.DEFINE_integer("num_train", None, "use the first N training images only")
    flags.DEFINE_integer("dim_z", None, "size of z (published: 64; colour images 128)")
    app.define_precision_flags()
    app.define_devices_flag()
    names = ", ".join(likelihoods.LIKELIHOODS)
    flags.DEFINE_string("likelihood", None, f"p(x|.): {names} (published: l2)")
    for field in dataclasses.fields(TrainingSettings):
        define = flags.DEFINE_integer if field.type is int else flags.DEFINE_float
        define(field.name, None, SETTINGS_HELP[field.name])


def training_settings(data_name: str) -> TrainingSettings:
    """The published settings with what the flags change."""
    given = {f.name: FLAGS[f.name].value for f in dataclasses.fields(TrainingSettings)}
    changes = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(TrainingSettings.for_data(data_name), **changes)


def refuse_flags_of_the_bound(model: str) -> None:
    """A baseline is trained by cross-entropy: what only the bound has does not apply."""
    for name in OF_THE_BOUND:
        if FLAGS[name].value is not None:
            raise InputError(f"--{name} does not apply to {model}, it has no bound; leave it out")


def run_config(model: str, dataset: datasets.Dataset, settings: TrainingSettings) -> RunConfig:
    """The run that the flags describe."""
    sizes = {} if FLAGS.dim_z is None else {"dim_z": FLAGS.dim_z}
    training = dataclasses.asdict(settings) | {"num_train": FLAGS.num_train}
    training |= app.precision_settings()
    likelihood = FLAGS.likelihood or "l2"
    if model in BASELINES:
        likelihood = None
        training = {name: value for name, value in training.items() if name not in OF_THE_BOUND}
    architecture = dataset.architecture.replace(**sizes)
    return RunConfig(model, dataset.name, architecture, likelihood, settings.seed, training)


def main(arguments: Sequence[str]) -> None:
    """Train the classifier named on the command line."""
    name = published_names.model_name(
        app.one_argument(arguments, "the model: GFZ … GBY, A … G, MLP, CNN or BNN")
    )
    if name in BASELINES:
        refuse_flags_of_the_bound(name)
    dataset = datasets.load(FLAGS.data, FLAGS.data_dir)
    settings = training_settings(dataset.name)
    config = run_config(name, dataset, settings)
    train_split = dataset.train.first(FLAGS.num_train)
    default = app.project_runs(__file__) / dataset.name / run_name(name, FLAGS.dim_z)
    folder = pathlib.Path(FLAGS.out) if FLAGS.out else default
    settings.steps_per_epoch(len(train_split))
    # How a strategy adds up gradients is told once for each of them otherwise.
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    strategy = training_strategy(FLAGS.devices)
    settings.check_devices(strategy.num_replicas_in_sync)
    with strategy.scope():
        model = config.build()
    if is_chief(strategy):
        prepare_folder(folder, config, FLAGS.resume, CHANGEABLE)
    train(model, train_split, dataset.test, settings, folder, jit_compile=FLAGS.jit_compile)
    print(folder)


if __name__ == "__main__":
    app.run(main, define_flags)
