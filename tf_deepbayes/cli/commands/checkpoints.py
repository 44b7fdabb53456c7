"""Published checkpoints, pickles such as checkpoint_0.pkl, and runs.

deepbayes import-checkpoint checkpoint_0.pkl --letter A writes a run folder that every command
accepts as a victim or guard. The run cannot be resumed, because a published checkpoint holds
weights but no optimizer state.

deepbayes export-checkpoint RUN --out checkpoint_0.pkl writes the pickle that the published scripts
load, with their variable names; Python 3.6 and NumPy 1 read it.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.commands.fusion import feature_flags
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data import datasets
from tf_deepbayes.models.layers import likelihoods
from tf_deepbayes.runs import checkpoints, published_checkpoints
from tf_deepbayes.runs.fusion.places import layer_part

FLAGS = flags.FLAGS


def define_import_flags() -> None:
    """Flags for what the arrays do not record."""
    with group("Checkpoint"):
        flags.DEFINE_string("letter", None, "published letter A … G, or GFZ … GBY")
        classifier_flags.define_data(help_text="data set it was trained on")
        names = ", ".join(likelihoods.LIKELIHOODS)
        flags.DEFINE_string(
            "likelihood", "l2", f"p(x|.) it was trained with: {names} (published: l2)"
        )
    feature_flags.define(computes=False)
    with group("Files"):
        app.define_path("out", None, "run folder (default: runs/<data>/<model>[_<layer>])")
        app.define_path("data_dir", None, "folder to look for cifar10vgg.h5 in")


def define_export_flags() -> None:
    """The output file."""
    with group("Files"):
        app.define_path("out", None, "file to write, as published: checkpoint_0.pkl")


def import_checkpoint(arguments: Sequence[str]) -> None:
    """Read and check the checkpoint, and write the run folder completely or not at all."""
    path = app.one_argument(arguments, "the published checkpoint, such as checkpoint_0.pkl")
    if FLAGS.letter is None:
        raise InputError("expected --letter A … G: the checkpoint does not say which model it is")
    shape, extractor = datasets.architecture(FLAGS.data).input_shape, None
    if feature_flags.asked():
        extractor = feature_flags.extractor(shape, FLAGS.data)
    model, config = published_checkpoints.import_checkpoint(
        pathlib.Path(path), FLAGS.letter, FLAGS.data, FLAGS.likelihood, extractor
    )
    layer = layer_part(extractor) if extractor else None
    name = published_checkpoints.default_run_name(config, layer)
    folder = app.given_or(FLAGS.out, app.runs_folder() / config.data / name)
    checkpoints.create(folder, config, model, extractor)
    print(folder)


def export_checkpoint(arguments: Sequence[str]) -> None:
    """Write the run's weights."""
    folder = pathlib.Path(app.one_argument(arguments, "the run folder"))
    if not FLAGS.out:
        raise InputError("expected --out, the file to write, such as checkpoint_0.pkl")
    letter = published_checkpoints.export_checkpoint(folder, pathlib.Path(FLAGS.out))
    print(f"{FLAGS.out} (letter {letter})")
