"""The command line of an attack: which attack, with which settings."""

import sys
from collections.abc import Sequence

import numpy as np
from absl import flags

from tf_deepbayes import attacks
from tf_deepbayes.attacks.losses import LOSSES
from tf_deepbayes.attacks.text_settings import text_settings
from tf_deepbayes.attacks.white_box.pgd import SCHEDULES
from tf_deepbayes.attacks.white_box.superwhite import GATHERS
from tf_deepbayes.cli import app
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.detection import selection
from tf_deepbayes.evaluation.scoring import EVAL_DRAWS
from tf_deepbayes.runs.attack import PUBLISHED_DETECTOR
from tf_deepbayes.runs.attacking.options import AttackOptions
from tf_deepbayes.runs.indices import IMAGE_ORDERS, IN_FILE_ORDER

FLAGS = flags.FLAGS
# Flag → the attack's field that it sets, if the attack has it.
OPTIONS = {
    name: name
    for name in (
        *("targeted", "batch_size", "loss", "norm", "nb_iter", "eps_iter", "rand_init", "eot"),
        *("learning_rate", "confidence", "binary_search_steps", "snapshot", "gather"),
        *("delta", "spsa_samples", "stop_above", "p_init", "rescore", "corners", "initial_samples"),
        *("votes", "lazy_classes", "early_stop", "check_every", "schedule", "ranks"),
        *("true_logit_weight", "step_factor"),
    )
} | {"lbd": "detection_lambda"}
# Flags that are fields of `AttackOptions`.
RUN_OPTIONS = (
    *("num_images", "indices", "attack_samples", "eval_draws", "common_random_numbers"),
    *("label_only", "substitute", "thresholds", "num_train", "pool_size", "save", "resume"),
    *("targets",),
    *("name", "overwrite", "image_order", "merge"),
)


def define() -> None:
    """The flags that `make` reads; without them, an attack has its published settings."""
    with group("Attack"):
        flags.DEFINE_string("attack", "fgsm", "name of the attack: " + ", ".join(attacks.ATTACKS))
        flags.DEFINE_enum(
            "settings", "code", ["code", "text"], "defaults: released code or paper's text"
        )
        flags.DEFINE(
            app.SizesParser(), "eps", ["0.1"], "sizes of the perturbation, separated by commas"
        )
        flags.DEFINE_bool("targeted", False, "attack towards each wrong class instead of away")
        flags.DEFINE_enum("norm", None, ["inf", "2"], "norm of the ball")
        flags.DEFINE_enum("loss", None, list(LOSSES), "loss that the attack maximises")
        flags.DEFINE_integer("nb_iter", None, "number of steps")
        flags.DEFINE(app.SizeParser(), "eps_iter", None, "size of a step")
        flags.DEFINE_enum("schedule", None, list(SCHEDULES), "step sizes: all alike, or declining")
        flags.DEFINE_bool("rand_init", None, "start from a random point of the ball")
        flags.DEFINE_integer("eot", None, "gradients averaged per step")
        flags.DEFINE_integer(
            "lazy_classes", None, "steps between evaluations of classes far from the top"
        )
        flags.DEFINE_bool("early_stop", None, "pgd, mim: leave out images once they stay fooled")
        text = "steps between success checks (--early_stop, imitate_head, imitate_features)"
        flags.DEFINE_integer("check_every", None, text)
    with group("One attack only"):
        _define_of_one_attack()
    with group("Computing"):
        flags.DEFINE_integer("batch_size", 100, "images at a time")


def _define_of_one_attack() -> None:
    flags.DEFINE_float("learning_rate", None, "cw (its c is --eps), spsa: learning rate of Adam")
    flags.DEFINE_float("confidence", None, "cw: margin of the logits, in nats")
    flags.DEFINE_integer("binary_search_steps", None, "cw: steps of the search for c")
    flags.DEFINE_bool("snapshot", None, "superwhite: fool every sample")
    flags.DEFINE_float(
        "lbd", None, "superwhite: weight of the detection loss (default detector: logit)"
    )
    flags.DEFINE_enum("gather", None, GATHERS, "superwhite: whose thresholds an image is held to")
    text = "superwhite, imitate_…: detector to evade"
    flags.DEFINE_enum("detector", None, list(selection.DETECTORS), text)
    flags.DEFINE(app.SizeParser(), "delta", None, "spsa: distance of the points probed")
    flags.DEFINE_integer("spsa_samples", None, "spsa: points probed per step")
    flags.DEFINE_float("stop_above", None, "spsa: leave an image once its loss is above this")
    flags.DEFINE_integer("ranks", None, "ranked: classes attacked, the likeliest first")
    flags.DEFINE_float("p_init", None, "square: share of the pixels in the first patches")
    flags.DEFINE_integer("rescore", None, "square, noise: draws that confirm a better image")
    flags.DEFINE_bool("corners", None, "noise: change every value by eps")
    flags.DEFINE_integer("initial_samples", None, "boundary: points for the first normal")
    flags.DEFINE_integer("votes", None, "boundary: draws per decision")
    text = "imitate_head: weight of the true class's logit (10)"
    flags.DEFINE_float("true_logit_weight", None, text)
    text = "head_logit, imitate_…: a step is this times eps over the number of steps (4)"
    flags.DEFINE_float("step_factor", None, text)
    text = (
        "imitate_…: numbers of two attacked images to imitate (default: the first ship, and other)"
    )
    flags.DEFINE_list("targets", None, text)
    flags.DEFINE_integer("pool_size", 1000, "matching: training images to choose guides from")


def define_options() -> None:
    """The flags that `options` reads: the images, the access to the classifier, the results."""
    with group("Images"):
        flags.DEFINE_integer("num_images", None, "attack the first N test images only")
        define_image_order()
        flags.DEFINE(
            app.PathsParser(),
            "indices",
            None,
            "attack the images in all of these files of extract-index",
        )
    with group("Access to the classifier"):
        flags.DEFINE_integer(
            "attack_samples", None, "K that the attack uses (default: num_samples)"
        )
        flags.DEFINE_bool("common_random_numbers", False, "same noise at every step of the attack")
        flags.DEFINE_bool("label_only", False, "follow log p(y|.) alone, not the joint density")
        app.define_path("substitute", None, "classifier whose gradients are followed instead")
        app.define_path("thresholds", None, "fitted detectors (default: fit on --num_train images)")
        flags.DEFINE_integer("num_train", 2000, "training images to fit a detector on")
    with group("Results"):
        flags.DEFINE_integer("eval_draws", EVAL_DRAWS, "draws of noise to score the result on")
        flags.DEFINE(
            app.NameParser(),
            "name",
            None,
            "name of the results (default: the attack's, with its settings)",
        )
        flags.DEFINE_bool("save", True, "save the adversarial images")
        flags.DEFINE_bool("resume", False, "continue from finished batches and results on disk")
        flags.DEFINE_bool("overwrite", False, "replace a result that has other settings")
        app.define_part_flags("the batches")
        app.define_done_flag()


def define_image_order() -> None:
    """The flag that says which images come first."""
    text = "which are the first: file, as the test set has them, or random, one fixed random order"
    flags.DEFINE_enum("image_order", IN_FILE_ORDER, IMAGE_ORDERS, text)


def warn_of_large(grid: Sequence[float], attack: attacks.Attack) -> None:
    """Remark on sizes in the infinity norm that are more than the whole range of pixels."""
    for eps in grid:
        in_pixels = attack.eps_name(eps).startswith("eps")  # of cw it is a constant
        if eps > 1.0 and in_pixels and getattr(attack, "norm", np.inf) == np.inf:
            print(
                f"warning: --eps {eps:g} is more than the whole range of pixels, [0, 1]; did you "
                f"mean {eps:g}/255?",
                file=sys.stderr,
            )


def make() -> attacks.Attack:
    """The attack with the settings that the flags change, those of the text with --settings."""
    options = {field: FLAGS[flag].value for flag, field in OPTIONS.items()}
    defaults = text_settings(FLAGS.attack) if FLAGS.settings == "text" else {}
    if FLAGS.norm is not None:
        options["norm"] = float(FLAGS.norm)
    if "seed" in attacks.fields(FLAGS.attack):
        options["seed"] = FLAGS.seed
    if FLAGS.detector and "detector" not in attacks.fields(FLAGS.attack):
        raise InputError(f"detector does not apply to {FLAGS.attack}; leave it out")
    if FLAGS.early_stop and FLAGS.common_random_numbers:
        raise InputError(
            "an image's noise changes with the batch, which --early_stop shrinks; leave out one "
            "of --early_stop and --common_random_numbers"
        )
    stops = "early_stop" in attacks.fields(FLAGS.attack)
    if FLAGS.check_every is not None and stops and not FLAGS.early_stop:
        raise InputError("--check_every needs --early_stop; give both or neither")
    check_count("batch_size", FLAGS.batch_size)
    given = {name: value for name, value in options.items() if value is not None}
    return attacks.build(FLAGS.attack, **{**defaults, **given})


def options() -> AttackOptions:
    """All other settings of the flags, apart from the attack itself."""
    default = PUBLISHED_DETECTOR if FLAGS.lbd is not None else None
    return AttackOptions(
        detector=FLAGS.detector or default,
        computing=app.precision_settings(),
        **{option: FLAGS[option].value for option in RUN_OPTIONS},
    )
