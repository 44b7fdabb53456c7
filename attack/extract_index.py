"""Which test images a victim gets right: python attack/extract_index.py --victim bayes_K10_A.

Writes their numbers to <run>/indices.json. With --indices and such files, attack/attack.py and
detect/detect.py keep to the images that are in all of them, as published for plane_frog.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from tf_deepbayes import cli, data, metrics
from tf_deepbayes.errors import InputError
from tf_deepbayes.indices import correct_indices, write_indices
from tf_deepbayes.noise import INDEPENDENT, SCHEMES
from tf_deepbayes.validation import check_count
from tf_deepbayes.victims import Victim

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags, as those of attack/attack.py."""
    flags.DEFINE_string("victim", None, "run folder, model name or letter, or bayes_K10_A")
    flags.DEFINE_string("data", "plane_frog", "data set of the victim: " + ", ".join(data.TASKS))
    flags.DEFINE_integer("num_samples", None, "K (default: of the victim's name, or 10)")
    flags.DEFINE_enum("noise", INDEPENDENT, list(SCHEMES), "how the K draws of z are made")
    flags.DEFINE_integer("batch_size", 100, "images at a time")
    flags.DEFINE_integer("seed", 0, "of the classifier's noise")
    flags.DEFINE_string("out", None, "file to write (default: indices.json in the run folder)")
    flags.DEFINE_string("data_dir", None, "folder to look for the data set in first")
    flags.DEFINE_string("runs", None, "folder of all runs (default: runs of the project)")


def main(arguments: Sequence[str]) -> None:
    """Classify the test images once and write the numbers of those that are right."""
    if arguments or not FLAGS.victim:
        raise InputError(f"expected --victim and flags only, got {list(arguments)}")
    check_count("batch_size", FLAGS.batch_size)
    runs = cli.project_runs(__file__, FLAGS.runs)
    sampling = {"seed": FLAGS.seed, "scheme": FLAGS.noise}
    victim = Victim.load(FLAGS.victim, FLAGS.data, runs, FLAGS.num_samples, **sampling)
    test = victim.load_data(FLAGS.data_dir).test
    logits = metrics.predict(victim.logits_fn, test.pixels, FLAGS.batch_size, "test images")
    indices = correct_indices(logits, test.labels)
    path = pathlib.Path(FLAGS.out) if FLAGS.out else victim.folder / "indices.json"
    write_indices(path, victim, indices, len(test))
    print(f"{len(indices)} of {len(test)} test images are classified correctly: {path}")


if __name__ == "__main__":
    cli.run(main, define_flags)
