"""Evaluate robustness: deepbayes evaluate --victim GFZ --data mnist --eps 0.1.

Runs a set of attacks, takes the worst one for each image, and checks whether the attacks can be
trusted. Writes <run>/evaluation/<name>.json, and the worst images as
<run>/attacks/worst_case_<name>.npz, which detect can score. Finished batches are kept while it
runs; --resume continues from them. Several processes can share the work: each does one --part, then
one more run with --merge makes the result.
"""

from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.attack_flags import define_image_order
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.evaluation.scoring import EVAL_DRAWS
from tf_deepbayes.reporting.evaluation_table import attack_line, table
from tf_deepbayes.robustness.attack_cache import FinishedAttack
from tf_deepbayes.robustness.budgets import BUDGETS
from tf_deepbayes.robustness.suite import EvaluationSettings
from tf_deepbayes.runs.evaluate import NUM_IMAGES, RunEvaluation

FLAGS = flags.FLAGS
PLAN = ("eps", "eot", "batch_size", "check_images", "eval_draws", "seed", "lazy_classes")
OPTIONS = ("name", "num_images", "thresholds", "image_order", "resume", "merge", "overwrite")


def define_flags() -> None:
    """The flags; those shared with attack mean the same."""
    classifier_flags.define_victim()
    classifier_flags.define(seed_of="the classifier's noise and the attacks' draws")
    with group("Attacks"):
        flags.DEFINE(app.SizeParser(), "eps", 0.1, "radius of the l∞ ball, pixels in [0, 1]")
        flags.DEFINE_enum("budget", "standard", list(BUDGETS), "amount of work")
        flags.DEFINE_integer("num_images", NUM_IMAGES, "attack the first N test images")
        define_image_order()
        flags.DEFINE_integer("check_images", 50, "images of the attacks that only the checks need")
        flags.DEFINE_integer("eot", 2, "gradients averaged per step, if the classifier samples")
        app.define_path("substitute", None, "classifier for a transfer attack")
        app.define_path("thresholds", None, "fitted detectors for attacks that evade them")
        flags.DEFINE_integer("lazy_classes", 0, "steps between evaluations of unlikely classes")
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


def show(finished: FinishedAttack) -> None:
    """Print the line of an attack."""
    print(attack_line(finished.component.name, finished.outcome.figures), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Evaluate and print the table."""
    name, part = app.expect_victim(arguments), app.part_given()
    plan = EvaluationSettings(BUDGETS[FLAGS.budget], **{n: FLAGS[n].value for n in PLAN})
    check_count("num_images", FLAGS.num_images)
    victim = classifier_flags.load(name)
    evaluation = RunEvaluation(
        plan,
        FLAGS.budget,
        victim,
        substitute=classifier_flags.load(FLAGS.substitute) if FLAGS.substitute else None,
        substitute_name=FLAGS.substitute,
        computing=app.precision_settings(),
        data_dir=classifier_flags.data_place(),
        **{option: FLAGS[option].value for option in OPTIONS},
    )
    print(f"{victim.config.model} on {victim.config.data}: eps {plan.eps:g}, {plan.budget}")
    print(evaluation.do_part(part) if part else "\n" + table(evaluation.figures(show)))
    app.done([] if part else [evaluation.path])
