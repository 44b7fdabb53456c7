"""Which test images a victim gets right: python attack/extract_index.py --victim bayes_K10_A.

Writes their numbers to <run>/indices.json. With --indices and such files, attack/attack.py and
detect/detect.py keep to the images that are in all of them, as published for plane_frog.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.core import metrics
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.runs.indices import correct_indices, write_indices

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags, as those of attack/attack.py."""
    flags.DEFINE_string("victim", None, "run folder, model name or letter, or bayes_K10_A")
    classifier_flags.define(default_data="plane_frog")
    flags.DEFINE_integer("batch_size", 100, "images at a time")
    flags.DEFINE_string("out", None, "file to write (default: indices.json in the run folder)")


def main(arguments: Sequence[str]) -> None:
    """Classify the test images once and write the numbers of those that are right."""
    if arguments or not FLAGS.victim:
        raise InputError(f"expected --victim and flags only, got {list(arguments)}")
    check_count("batch_size", FLAGS.batch_size)
    victim = classifier_flags.load(FLAGS.victim, __file__)
    test = victim.load_data(FLAGS.data_dir).test
    logits = metrics.predict(victim.logits_fn, test.pixels, FLAGS.batch_size, "test images")
    indices = correct_indices(logits, test.labels)
    path = pathlib.Path(FLAGS.out) if FLAGS.out else victim.folder / "indices.json"
    write_indices(path, victim, indices, len(test))
    print(f"{len(indices)} of {len(test)} test images are classified correctly: {path}")


if __name__ == "__main__":
    app.run(main, define_flags)
