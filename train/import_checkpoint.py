"""Take over a published checkpoint: python train/import_checkpoint.py checkpoint_0.pkl --letter A.

Writes a run folder that every app accepts as a victim or guard. The run cannot be resumed, because
a published checkpoint holds weights and no optimizer state.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data import datasets
from tf_deepbayes.models.layers import likelihoods
from tf_deepbayes.runs import checkpoints, published_checkpoints

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags; what the arrays do not say has to be said here."""
    flags.DEFINE_string("letter", None, "the published letter A … G, or GFZ … GBY")
    flags.DEFINE_string("data", "mnist", "data set it was trained on: " + ", ".join(datasets.TASKS))
    names = ", ".join(likelihoods.LIKELIHOODS)
    flags.DEFINE_string("likelihood", "l2", f"p(x|.) it was trained with: {names} (published: l2)")
    flags.DEFINE_string("out", None, "run folder (default: runs/<data>/<model>)")


def main(arguments: Sequence[str]) -> None:
    """Read the checkpoint, check it, and write the run folder, whole or not at all."""
    path = app.one_argument(arguments, "the published checkpoint, such as checkpoint_0.pkl")
    if FLAGS.letter is None:
        raise InputError("expected --letter A … G: the checkpoint does not say which model it is")
    model, config = published_checkpoints.import_checkpoint(
        pathlib.Path(path), FLAGS.letter, FLAGS.data, FLAGS.likelihood
    )
    default = (
        app.project_runs(__file__) / config.data / published_checkpoints.default_run_name(config)
    )
    folder = pathlib.Path(FLAGS.out) if FLAGS.out else default
    checkpoints.create(folder, config, model)
    print(folder)


if __name__ == "__main__":
    app.run(main, define_flags)
