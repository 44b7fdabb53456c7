"""Train the VGG16 that gives features: deepbayes train-vgg --data cifar10 --width 0.25.

The defaults are those of Geifman's cifar-vgg; with a smaller --width, they are others that train it
in an hour. The folder, runs/<data>/VGG, holds vgg.json, checkpoint.npz, history.csv and
extractor.keras (each epoch), where train looks for it; --resume continues a training that was
stopped.
"""

from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.help import group
from tf_deepbayes.data.own_data import load_data
from tf_deepbayes.models.fusion.network import KERAS_FILE
from tf_deepbayes.runs.checkpoints import HISTORY
from tf_deepbayes.runs.fusion.places import VGG
from tf_deepbayes.training.fusion.vgg import train_vgg
from tf_deepbayes.training.fusion.vgg_settings import OPTIMIZERS, VGGSettings

FLAGS = flags.FLAGS
GIVEN = ("epochs", "batch_size", "dropout", "weight_decay", "optimizer", "learning_rate", "seed")


def define_flags() -> None:
    """The flags; training settings default to the published ones."""
    with group("Network and data"):
        classifier_flags.define_data("cifar10", "data set")
        flags.DEFINE_integer("num_train", None, "use the first N training images only")
        flags.DEFINE_float("width", 1.0, "factor of the network's channels")
        flags.DEFINE_float("dropout", None, "factor of its dropout (1; narrower: 0)")
    with group("Training"):
        flags.DEFINE_integer("epochs", None, "passes over the images (250; narrower: 12)")
        flags.DEFINE_integer("batch_size", None, "images per step (128)")
        text = "optimizer (sgd; narrower: adam)"
        flags.DEFINE_enum("optimizer", None, OPTIMIZERS, text)
        flags.DEFINE_float("learning_rate", None, "the largest (0.1; adam: 0.003)")
        flags.DEFINE_float("weight_decay", None, "factor of the weight decay (1; narrower: 0)")
        flags.DEFINE_integer("seed", None, "seed of weights, order, augmentation, dropout (0)")
    with group("Files"):
        app.define_path("out", None, f"folder (default: runs/<data>/{VGG})")
        app.define_done_flag()
        flags.DEFINE_bool("resume", False, "continue the training in the folder")
        app.define_path("data_dir", None, "the only folder to search for the data set")
        app.define_runs_flag()


def main(arguments: Sequence[str]) -> None:
    """Train the network."""
    app.expect_flags_only(arguments)
    given = {name: FLAGS[name].value for name in GIVEN if FLAGS[name].value is not None}
    settings = VGGSettings.for_width(FLAGS.width, **given)
    dataset = load_data(FLAGS.data, FLAGS.data_dir).first_train(FLAGS.num_train)
    folder = app.given_or(FLAGS.out, app.runs_folder() / dataset.name / VGG)
    accuracy = train_vgg(settings, dataset, folder, FLAGS.resume)
    app.done([folder / KERAS_FILE, folder / HISTORY])
    print(f"{folder}: {accuracy:.4f} of {len(dataset.test):,} test images are right")
