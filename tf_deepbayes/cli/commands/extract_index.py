"""List the test images a run classifies correctly: deepbayes extract-index --victim bayes_K10_A.

Writes their indices to <run>/indices.json. With --indices and such files, attack and detect use
only the images that are in all of them, as published for plane_frog.
"""

from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.help import group
from tf_deepbayes.core import metrics
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.runs.indices import correct_indices, write_indices

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags, as for attack."""
    with group("Classifier"):
        app.define_path("victim", None, "run folder, model name or letter, or bayes_K10_A")
    classifier_flags.define(default_data="plane_frog")
    with group("Files"):
        app.define_path("out", None, "file to write (default: indices.json in the run folder)")
        flags.DEFINE_bool("overwrite", False, "replace a file that has other settings")
    with group("Computing"):
        flags.DEFINE_integer("batch_size", 100, "images at a time")


def main(arguments: Sequence[str]) -> None:
    """Classify the test images once and write the indices of the correct ones."""
    name = app.expect_victim(arguments)
    check_count("batch_size", FLAGS.batch_size)
    victim = classifier_flags.load(name)
    test = victim.load_data(classifier_flags.data_place()).test
    logits = metrics.predict(victim.logits_fn, test.pixels, FLAGS.batch_size, "test images")
    indices = correct_indices(logits, test.labels)
    path = app.given_or(FLAGS.out, victim.folder / "indices.json")
    write_indices(path, victim, indices, test, FLAGS.overwrite)
    print(f"{len(indices)} of {len(test)} test images are classified correctly: {path}")
