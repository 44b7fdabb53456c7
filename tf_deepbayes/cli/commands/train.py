"""Train a deep Bayes classifier or a baseline: deepbayes train GFZ --data fashion_mnist.

The published settings are the defaults. The run folder holds config.json, checkpoint.npz (each
epoch), history.csv and TensorBoard logs; --resume continues a run that was stopped. With --features
or --layer, it classifies features of a frozen network, which is kept in the folder, too.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, training_flags
from tf_deepbayes.cli.commands.fusion import feature_flags
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.own_data import load_data
from tf_deepbayes.legacy import published_names
from tf_deepbayes.models.baselines import BASELINES
from tf_deepbayes.runs.fusion.places import check_model, layer_part
from tf_deepbayes.runs.state.trained import copy_run, epochs_done
from tf_deepbayes.training.fusion.feature_runs import feature_config
from tf_deepbayes.training.new_runs import OF_THE_BOUND, run_config, settled, train_run
from tf_deepbayes.training.settings import TrainingSettings

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags; training settings default to the published ones for the data set."""
    training_flags.define()
    feature_flags.define()


def main(arguments: Sequence[str]) -> None:
    """Train the classifier named on the command line."""
    name = published_names.model_name(
        app.one_argument(arguments, "the model: GFZ … GBY, A … G, MLP, CNN or BNN")
    )
    if FLAGS.continue_from and not FLAGS.out:
        raise InputError("--continue_from needs the folder of the new run; give --out")
    if FLAGS.out and FLAGS.seeds > 1:
        raise InputError("--out is the folder of one run, --seeds asks for several; leave one out")
    for flag in training_flags.given(OF_THE_BOUND) if name in BASELINES else ():
        raise InputError(f"--{flag} does not apply to {name}, it has no bound; leave it out")
    if on_features := feature_flags.asked():
        check_model(name)
    dataset = load_data(FLAGS.data, FLAGS.data_dir)
    settings = dataclasses.replace(
        TrainingSettings.for_data(dataset.name),
        **training_flags.given(training_flags.SETTINGS_HELP),
    )
    sizes = training_flags.given(["num_train", "likelihood", "dim_z", "architecture"])
    features = feature_flags.feature_data(dataset, FLAGS.num_train) if on_features else None
    layer = layer_part(features.extractor) if features else None
    for seed in range(settings.seed, settings.seed + FLAGS.seeds):
        usual = training_flags.default_folder(dataset.name, name, seed, layer)
        folder = app.given_or(FLAGS.out, usual)
        if FLAGS.continue_from:
            copy_run(pathlib.Path(FLAGS.continue_from), folder)
        warm_up = 0 if features else None  # DBX learns without it on features
        own = settled(dataclasses.replace(settings, seed=seed), name, folder, warm_up)
        config = run_config(name, dataset, own, **sizes, computing=app.precision_settings())
        how = (FLAGS.resume or bool(FLAGS.continue_from), FLAGS.devices, FLAGS.jit_compile)
        if features:
            config = feature_config(config, features.extractor, FLAGS.dim_z)
            anything = features.train(config, own, folder, *how)
        else:
            anything = train_run(config, dataset, own, folder, *how)
        if not anything:
            print(f"all {epochs_done(folder)} epochs are done, nothing is left to train")
        print(folder, flush=True)
