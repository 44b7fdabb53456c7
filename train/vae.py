"""Train a deep Bayes classifier: python train/vae.py GFZ --data fashion_mnist.

The published settings are the defaults. The run folder holds config.json, checkpoint.npz (each
epoch), history.csv and TensorBoard logs; --resume continues a run that was stopped.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from tf_deepbayes import cli, data, legacy, likelihoods
from tf_deepbayes.checkpoints import CONFIG, RunConfig, load_config, save_config
from tf_deepbayes.errors import InputError
from tf_deepbayes.training import TrainingDivergedError, TrainingSettings, train
from tf_deepbayes.victims import run_name

FLAGS = flags.FLAGS
# Settings that a resumed run may change: they say how long and how to watch, not what is computed.
CHANGEABLE = ("epochs", "eval_every")
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
    flags.DEFINE_string("data", "mnist", "data set: " + ", ".join(data.TASKS))
    flags.DEFINE_string("data_dir", None, "folder to look for the data set in first")
    flags.DEFINE_string("out", None, "run folder (default: runs/<data>/<model>)")
    flags.DEFINE_bool("resume", False, "continue the run in the folder")
    flags.DEFINE_integer("num_train", None, "use the first N training images only")
    flags.DEFINE_integer("dim_z", None, "size of z (published: 64; colour images 128)")
    flags.DEFINE_string("likelihood", "l2", "p(x|.): " + ", ".join(likelihoods.LIKELIHOODS))
    for field in dataclasses.fields(TrainingSettings):
        define = flags.DEFINE_integer if field.type is int else flags.DEFINE_float
        define(field.name, None, SETTINGS_HELP[field.name])


def training_settings(data_name: str) -> TrainingSettings:
    """The published settings with what the flags change."""
    given = {f.name: FLAGS[f.name].value for f in dataclasses.fields(TrainingSettings)}
    changes = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(TrainingSettings.for_data(data_name), **changes)


def run_config(name: str, dataset: data.Dataset, settings: TrainingSettings) -> RunConfig:
    """The run that the flags describe."""
    sizes = {} if FLAGS.dim_z is None else {"dim_z": FLAGS.dim_z}
    return RunConfig(
        model=legacy.model_name(name),
        data=dataset.name,
        architecture=dataset.architecture.replace(**sizes),
        likelihood=FLAGS.likelihood,
        seed=settings.seed,
        training={**dataclasses.asdict(settings), "num_train": FLAGS.num_train},
    )


def claim_folder(folder: pathlib.Path, config: RunConfig) -> None:
    """Make a new run folder, or check that the one to resume is of the same run."""
    if not (folder / CONFIG).exists():
        return save_config(folder, config)
    if not FLAGS.resume:
        raise InputError(f"{folder} holds a run; pass --resume to continue it or another --out")
    found, wanted = load_config(folder).settings(), config.settings()
    differences = [
        f"{name} is {found.get(name)} in the run and {value} in the flags"
        for name, value in wanted.items()
        if found.get(name) != value and name not in CHANGEABLE
    ]
    if differences:
        raise InputError(
            f"{folder} cannot be resumed: {'; '.join(differences)}; repeat the flags of the run, "
            "or pass another --out"
        )
    return save_config(folder, config)


def main(arguments: Sequence[str]) -> None:
    """Train the classifier named on the command line."""
    name = legacy.model_name(cli.one_argument(arguments, "the model: GFZ … GBY or A … G"))
    dataset = data.load(FLAGS.data, FLAGS.data_dir)
    settings = training_settings(dataset.name)
    config = run_config(name, dataset, settings)
    train_split, model = dataset.train.first(FLAGS.num_train), config.build()
    default = cli.project_runs(__file__) / dataset.name / run_name(name, FLAGS.dim_z)
    folder = pathlib.Path(FLAGS.out) if FLAGS.out else default
    settings.steps_per_epoch(len(train_split))
    claim_folder(folder, config)
    try:
        train(model, train_split, dataset.test, settings, folder)
    except TrainingDivergedError as error:
        print(f"stopped: {error}", file=sys.stderr)
        sys.exit(1)
    print(folder)


if __name__ == "__main__":
    cli.run(main, define_flags)
