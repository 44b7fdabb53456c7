"""The command line of an evaluation: which images, which attacks, what is written."""

from typing import Any

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.attack_flags import define_image_order
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.evaluation.scoring import EVAL_DRAWS
from tf_deepbayes.robustness.budgets import BUDGETS
from tf_deepbayes.robustness.suite import EvaluationSettings
from tf_deepbayes.runs.evaluate import NUM_IMAGES

FLAGS = flags.FLAGS
PLAN = ("eot", "batch_size", "check_images", "eval_draws", "seed", "lazy_classes")
OPTIONS = (
    *("name", "num_images", "thresholds", "image_order", "resume", "merge", "overwrite"),
    *("attacks", "decompose", "curves"),
)


def define() -> None:
    """The flags; those shared with attack mean the same."""
    classifier_flags.define_victim()
    classifier_flags.define(seed_of="the classifier's noise and the attacks' draws")
    with group("Attacks"):
        text = "radii of the ball, pixels in [0, 1], separated by commas; a result for each"
        flags.DEFINE(app.SizesParser(), "eps", ["0.1"], text)
        flags.DEFINE_enum("norm", "inf", ["inf", "2"], "norm of the ball")
        flags.DEFINE_list("attacks", None, "attacks instead of the budget's set")
        flags.DEFINE_enum("budget", "standard", list(BUDGETS), "amount of work")
        flags.DEFINE_integer("num_images", NUM_IMAGES, "attack the first N test images")
        define_image_order()
        flags.DEFINE_integer("check_images", 50, "images of the attacks that only the checks need")
        flags.DEFINE_integer("eot", 2, "gradients averaged per step, if the classifier samples")
        app.define_path("substitute", None, "classifier for a transfer attack")
        app.define_path("thresholds", None, "fitted detectors for attacks that evade them")
        flags.DEFINE_integer("lazy_classes", 0, "steps between evaluations of unlikely classes")
        flags.DEFINE_bool("decompose", False, "also take the robustness apart; costs come first")
        flags.DEFINE_bool("curves", True, "with --decompose: budget curves, most of its cost")
    with group("Results"):
        flags.DEFINE_integer("eval_draws", EVAL_DRAWS, "draws of noise to score the worst case on")
        text = "name of the result (default: eps<eps>_<budget>, and other settings)"
        flags.DEFINE(app.NameParser(), "name", None, text)
        flags.DEFINE_bool("resume", False, "continue from finished batches on disk")
        flags.DEFINE_bool("overwrite", False, "replace a result that has other settings")
        app.define_part_flags("the batches of each attack")
        app.define_done_flag()
    with group("Computing"):
        flags.DEFINE_integer("batch_size", 50, "images at a time")
    app.define_precision_flags()


def plans() -> list[EvaluationSettings]:
    """The settings of the flags, for each size."""
    check_count("num_images", FLAGS.num_images)
    if FLAGS.name and len(FLAGS.eps) > 1:
        raise InputError(f"--name names one result, and --eps asks for {len(FLAGS.eps)}; drop it")
    options = {n: FLAGS[n].value for n in PLAN} | {"norm": float(FLAGS.norm)}
    return [EvaluationSettings(BUDGETS[FLAGS.budget], eps=eps, **options) for eps in FLAGS.eps]


def options() -> dict[str, Any]:
    """The fields of `RunEvaluation` that flags of the same names give."""
    return {option: FLAGS[option].value for option in OPTIONS}
