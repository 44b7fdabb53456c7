"""Print the results of runs as markdown tables: deepbayes report --data fashion_mnist.

Reads the results of train, attack, detect and evaluate (or reproduce/study.py) from the runs; with
--figure, plots the curves as a PNG.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from tf_deepbayes.cli import app, classifier_flags, study_results
from tf_deepbayes.cli.help import group
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models import factorisations
from tf_deepbayes.reporting import study_tables
from tf_deepbayes.reporting.study_tables import markdown_table

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Which study."""
    with group("Runs"):
        classifier_flags.define_data("fashion_mnist", "data set")
        flags.DEFINE_list("models", list(factorisations.FACTORISATIONS), "classifiers")
        app.define_runs_flag()
    with group("Files"):
        app.define_path("figure", None, "PNG file for the curves")


def main(arguments: Sequence[str]) -> None:
    """Print every table that has results."""
    app.expect_flags_only(arguments)
    folder = app.runs_folder() / classifier_flags.data_name()
    runs = study_results.Runs(folder, [factorisations.get(m).__name__ for m in FLAGS.models])
    trained = study_results.training_rows(runs)
    if not trained:
        raise InputError(f"no runs in {folder}; run reproduce/study.py first")
    print(markdown_table(study_tables.TRAINING_HEAD, trained))
    for name in ("fgsm", "pgd", "mim", "cw"):
        rows = study_results.attack_rows(runs, f"{name}_*")
        if rows:
            print(f"\n{markdown_table(study_tables.ATTACK_HEAD, rows)}")
    rows = study_results.evaluation_rows(runs)
    if rows:
        component_table = study_results.component_table(runs)
        print(f"\n{markdown_table(study_tables.EVALUATION_HEAD, rows)}\n\n{component_table}")
    if FLAGS.figure:
        study_results.draw(runs, pathlib.Path(FLAGS.figure))
