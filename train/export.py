"""Export a classifier as a SavedModel: python train/export.py runs/fashion_mnist/GFZ --out DIR.

The signatures take batches of images: classify (also serving_default), logits, probabilities,
log_marginal and reconstruct (models with p(x|.)), detect (with --thresholds, a file written by
detect/detect.py); each also as …_uint8, which takes bytes, and as …_seeded, which draws fresh
noise. sample makes images of labels. DIR/metadata.json says what the model is.
"""

import pathlib
from collections.abc import Sequence

from absl import flags, logging

from tf_deepbayes.cli import app
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.export.saved_model import check_free, export
from tf_deepbayes.inference.noise import INDEPENDENT, SCHEMES
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.runs.run import Run, find_run

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags."""
    flags.DEFINE_string("out", None, "folder of the SavedModel, to be made")
    flags.DEFINE_bool("overwrite", False, "replace an export that is there")
    flags.DEFINE_string("thresholds", None, "file of fitted detectors of this run")
    flags.DEFINE_integer("num_samples", None, "K (default: of the run's published name, or 10)")
    flags.DEFINE_enum("noise", INDEPENDENT, list(SCHEMES), "how the K draws of z are made")
    flags.DEFINE_integer("seed", 0, "of the noise that is part of the model")
    flags.DEFINE_integer("block_size", None, "terms decoded at a time (default: the library's)")
    flags.DEFINE_bool("onnx", False, "write DIR/model.onnx, the logits, as well")
    flags.DEFINE_string("data", "mnist", "data set, where the run is named by its model")
    flags.DEFINE_string("runs", None, "folder of all runs (default: runs of the project)")


def main(arguments: Sequence[str]) -> None:
    """Export the run named on the command line."""
    name = app.one_argument(arguments, "the run: a run folder, or a model and --data")
    if not FLAGS.out:
        raise InputError("expected --out, the folder of the SavedModel")
    out = pathlib.Path(FLAGS.out)
    check_free(out, FLAGS.overwrite)
    folder, own_count = find_run(name, FLAGS.data, app.project_runs(__file__, FLAGS.runs))
    count = own_count if FLAGS.num_samples is None else FLAGS.num_samples
    victim = Run.load(folder, Sampling(count, scheme=FLAGS.noise, seed=FLAGS.seed))
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


if __name__ == "__main__":
    app.run(main, define_flags)
