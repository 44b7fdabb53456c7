"""Give a run to the published code: python train/export_checkpoint.py RUN --out checkpoint_0.pkl.

Writes the pickle that the published scripts load, with their variable names; Python 3.6 and
NumPy 1 read it.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.runs import published_checkpoints

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags."""
    flags.DEFINE_string("out", None, "file to write, as published: checkpoint_0.pkl")


def main(arguments: Sequence[str]) -> None:
    """Write the run's weights."""
    folder = pathlib.Path(app.one_argument(arguments, "the run folder"))
    if not FLAGS.out:
        raise InputError("expected --out, the file to write, such as checkpoint_0.pkl")
    letter = published_checkpoints.export_checkpoint(folder, pathlib.Path(FLAGS.out))
    print(f"{FLAGS.out} (letter {letter})")


if __name__ == "__main__":
    app.run(main, define_flags)
