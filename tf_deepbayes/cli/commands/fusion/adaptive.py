"""Attack a run as Tramèr et al. 2020 did: deepbayes adaptive --victim fea_K10_F_mid --data cifar10.

Random noise, PGD on the full logits, the head logit, head logit matching and feature matching, each
with the published settings, beside what was published. Results and images are kept in
<run>/attacks, and finished ones are not computed again; <run>/adaptive.json has the table, and
such as <run>/adaptive_K1_mixture_n100.json that of another sampling or number of images.
"""

import functools
from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.reporting.adaptive_table import adaptive_table
from tf_deepbayes.runs.adaptive.table import NUM_IMAGES, AdaptiveTable

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags; those shared with attack mean the same."""
    with group("Classifier"):
        app.define_path("victim", None, "run folder, model name, or fea_K10_F_mid")
    classifier_flags.define(default_data="cifar10", seed_of="the noise and the attacks' draws")
    with group("Attacks"):
        flags.DEFINE_integer("num_images", NUM_IMAGES, "attack the first N test images")
        text = "steps between success checks of the imitate_… attacks (published: 1)"
        flags.DEFINE_integer("check_every", 1, text)
        text = "numbers of two attacked images to imitate (default: the first ship, and other)"
        flags.DEFINE_list("targets", None, text)
        text = "training images to fit the KL detector on (default: all)"
        flags.DEFINE_integer("num_train", None, text)
    with group("Results"):
        flags.DEFINE_bool("overwrite", False, "replace results that have other settings")
        app.define_done_flag()
    with group("Computing"):
        flags.DEFINE_integer("batch_size", 200, "images at a time (published: 200)")


def main(arguments: Sequence[str]) -> None:
    """Run the attacks and print the table."""
    name = app.expect_victim(arguments)
    for flag in ("num_images", "check_every", "batch_size"):
        check_count(flag, FLAGS[flag].value)
    table = AdaptiveTable(
        functools.partial(classifier_flags.load, name),
        *(FLAGS.num_images, FLAGS.batch_size, FLAGS.num_train, FLAGS.check_every),
        targets=FLAGS.targets,
        data_dir=classifier_flags.data_place(),
        overwrite=FLAGS.overwrite,
        say=functools.partial(print, flush=True),
    )
    rows = table.rows()
    path, config = table.write(rows), table.run.config
    app.done([path])
    print("\n" + adaptive_table(config.model, config.extractor, rows))
    print(path)
