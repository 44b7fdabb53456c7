"""Evaluate robustness: deepbayes evaluate --victim GFZ --data mnist --eps 0.1,0.2.

Runs a set of attacks, takes the worst one for each image, and checks whether the attacks can be
trusted. Writes <run>/evaluation/<name>.json, and the worst images as
<run>/attacks/worst_case_<name>.npz, which detect can score. Finished batches are kept while it
runs; --resume continues from them. Several processes can share the work: each does one --part, then
one more run with --merge makes the result.
"""

from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.cli.evaluation import flags as evaluation_flags
from tf_deepbayes.reporting.evaluation_table import attack_line, table
from tf_deepbayes.robustness.attack_cache import FinishedAttack
from tf_deepbayes.runs.evaluate import RunEvaluation

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags; those shared with attack mean the same."""
    evaluation_flags.define()


def show(finished: FinishedAttack) -> None:
    """Print the line of an attack."""
    print(attack_line(finished.component.name, finished.outcome.figures), flush=True)


def prepare(name: str) -> list[RunEvaluation]:
    """The evaluations of the flags, one for each size, on one victim."""
    plans, victim = evaluation_flags.plans(), classifier_flags.load(name)
    substitute = classifier_flags.load(FLAGS.substitute) if FLAGS.substitute else None
    options = evaluation_flags.options() | {
        "substitute": substitute,
        "substitute_name": FLAGS.substitute,
        "computing": app.precision_settings(),
        "data_dir": classifier_flags.data_place(),
    }
    return [RunEvaluation(plan, FLAGS.budget, victim, **options) for plan in plans]


def main(arguments: Sequence[str]) -> None:
    """Evaluate at each size and print a table for each."""
    name, part = app.expect_victim(arguments), app.part_given()
    evaluations = prepare(name)
    for evaluation in evaluations:
        config, plan = evaluation.victim.config, evaluation.plan
        print(f"{config.model} on {config.data}: eps {plan.eps:g}, {plan.budget}")
        if part:
            print(evaluation.do_part(part))
        else:
            print("\n" + table(evaluation.figures(show, say=print)))
    app.done([] if part else [evaluation.path for evaluation in evaluations])
