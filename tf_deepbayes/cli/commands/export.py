"""Export a run as a SavedModel: deepbayes export runs/fashion_mnist/GFZ --out DIR.

The signatures take batches of images: classify (also serving_default), logits, probabilities,
log_marginal and reconstruct (models with p(x|.)), detect (with --thresholds, a file written by
detect); each also as …_uint8, which takes bytes, and as …_seeded, which draws fresh noise.
sample generates images of given labels. DIR/metadata.json describes the model.
"""

import pathlib
from collections.abc import Sequence

from absl import flags, logging

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.export.saved_model import check_free, export
from tf_deepbayes.runs.run import Run

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags."""
    with group("Export"):
        app.define_path("out", None, "folder to create for the SavedModel")
        flags.DEFINE_bool("overwrite", False, "replace an existing export")
        flags.DEFINE_bool("onnx", False, "also write the logits as DIR/model.onnx")
        app.define_path("thresholds", None, "file of fitted detectors of this run")
        flags.DEFINE_integer("block_size", None, "terms decoded at a time (default: the library's)")
    with group("Sampling"):
        classifier_flags.define_sampling("the classifier")
        flags.DEFINE_integer("seed", 0, "seed of the noise that is part of the model")
    with group("Files"):
        classifier_flags.define_data(help_text="data set, if the run is named by its model")
        app.define_runs_flag()


def main(arguments: Sequence[str]) -> None:
    """Export the run named on the command line."""
    name = app.one_argument(arguments, "the run: a run folder, or a model and --data")
    if not FLAGS.out:
        raise InputError("expected --out, the folder of the SavedModel")
    out = pathlib.Path(FLAGS.out)
    check_free(out, FLAGS.overwrite)
    victim = Run.load(*classifier_flags.find(name))
    logging.set_verbosity(logging.WARNING)  # saving a model logs a line for each signature
    metadata = export(
        victim,
        out,
        fitted=pathlib.Path(FLAGS.thresholds) if FLAGS.thresholds else None,
        block_size=FLAGS.block_size,
        overwrite=FLAGS.overwrite,
        onnx=FLAGS.onnx,
    )
    print(", ".join(metadata["signatures"]))
    print(out)
