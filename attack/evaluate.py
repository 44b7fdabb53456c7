"""Evaluate robustness: python attack/evaluate.py --victim GFZ --data mnist --eps 0.1.

Runs a set of attacks, takes the worst of them for each image, and checks whether the attacks are
to be believed. Writes <run>/evaluation/<name>.json, and the worst images as
<run>/attacks/worst_case_<name>.npz, which detect/detect.py scores. Finished batches are kept
while it runs; --resume goes on from them.
"""

import dataclasses
import logging
import pathlib
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from tf_deepbayes.attacks import GuideImages
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.detection import selection
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.evaluation.batch_store import AttackStoppedError, BatchStore
from tf_deepbayes.evaluation.runner import AttackResult
from tf_deepbayes.evaluation.scoring import EVAL_DRAWS
from tf_deepbayes.reporting.evaluation_table import attack_line, table
from tf_deepbayes.robustness.attack_cache import FinishedAttack
from tf_deepbayes.robustness.budgets import BUDGETS
from tf_deepbayes.robustness.evaluate import evaluate
from tf_deepbayes.robustness.suite import (
    LABEL_ONLY,
    SUBSTITUTE,
    VICTIM,
    Defence,
    EvaluationSettings,
    SuiteAttack,
)
from tf_deepbayes.runs import guards, results
from tf_deepbayes.runs.detector_files import weights_digest
from tf_deepbayes.runs.run import Run

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags; those of attack/attack.py mean the same."""
    classifier_flags.define_victim()
    classifier_flags.define(seed_of="the classifier's noise and the attacks' draws")
    flags.DEFINE_float("eps", 0.1, "radius of the l∞ ball, pixels in [0, 1]")
    flags.DEFINE_enum("budget", "standard", list(BUDGETS), "how much work")
    flags.DEFINE_integer("num_images", 100, "attack the first N test images")
    flags.DEFINE_integer("check_images", 50, "images of the attacks that only the checks need")
    flags.DEFINE_integer("eot", 2, "gradients averaged per step, where the classifier samples")
    flags.DEFINE_integer(
        "eval_draws", EVAL_DRAWS, "draws of noise that the worst case is scored on"
    )
    flags.DEFINE_string("substitute", None, "classifier for a transfer attack")
    flags.DEFINE_string("thresholds", None, "fitted detectors for attacks that slip past them")
    flags.DEFINE_string("name", None, "of the result (default: eps<eps>_<budget>)")
    flags.DEFINE_bool("resume", False, "go on from the finished batches on disk")
    flags.DEFINE_integer("batch_size", 50, "images at a time")
    flags.DEFINE_integer("lazy_classes", 0, "steps between looks at classes far from the top")
    app.define_precision_flags()


def make_settings() -> EvaluationSettings:
    """The evaluation as the flags describe it."""
    names = ("eps", "eot", "batch_size", "check_images", "eval_draws", "seed", "lazy_classes")
    return EvaluationSettings(BUDGETS[FLAGS.budget], **{name: FLAGS[name].value for name in names})


def sources_of(victim: Run, substitute: Run | None) -> dict[str, ModelAccess]:
    """Whose gradients there are to follow."""
    sources = {VICTIM: victim.access()}
    factor = getattr(victim.model, "label_factor", None)
    if factor is not None:
        sources[LABEL_ONLY] = victim.access(factor=factor)
    if substitute is not None:
        sources[SUBSTITUTE] = substitute.access()
    return sources


def detectors_of(victim: Run) -> dict[str, Detector]:
    """The fitted detectors of --thresholds that mean something on the victim."""
    if not FLAGS.thresholds:
        return {}
    fitted, _ = guards.read(victim, pathlib.Path(FLAGS.thresholds))
    names = selection.detector_names(None, guards.has_p_x(victim))
    return {name: fitted[name] for name in names if name in fitted}


def defence_of(plan: EvaluationSettings, victim: Run, substitute: Run | None) -> Defence:
    """All that the attacks see, with the images to imitate."""
    sources, detectors = sources_of(victim, substitute), detectors_of(victim)
    dataset = victim.load_data(FLAGS.data_dir)
    test, size = dataset.test.first(FLAGS.num_images), plan.budget.pool_size
    guides = None
    if size:
        few = dataset.train.first(min(size, len(dataset.train)))
        guides = GuideImages.of_right(victim.logits_fn, few.pixels, few.labels, plan.batch_size)
    defence = Defence.of(plan, victim.logits_fn, sources, test.pixels, test.labels)
    return dataclasses.replace(defence, guides=guides, detectors=detectors, reseed=victim.reseed)


def settings_of(plan: EvaluationSettings, victim: Run) -> dict[str, Any]:
    """All that the result depends on."""
    names = ("num_images", "substitute", "thresholds", "mode")
    return {
        **dataclasses.asdict(plan),
        **{name: FLAGS[name].value for name in names},
        "num_samples": victim.sampling.num_samples,
        "noise": victim.recorded_scheme,
        "weights": weights_digest(victim.model),
        **app.precision_settings(),
    }


def attack_all(
    plan: EvaluationSettings, defence: Defence, partial: pathlib.Path, settings: dict
) -> tuple[dict[str, Any], AttackResult]:
    """Run the evaluation; finished batches are kept in the folder `partial`."""
    names = ("num_samples", "noise", "weights", "mode", "substitute")
    fixed = {name: settings[name] for name in names}

    def open_store(component: SuiteAttack) -> BatchStore:
        own = {
            "attack": component.attack.settings(),
            "eps": component.eps,
            "source": component.source,
        }
        own["seed"] = plan.seed
        return BatchStore(partial / component.name, own | fixed, FLAGS.resume)

    def show(finished: FinishedAttack) -> None:
        name, figures = finished.component.name, finished.outcome.figures
        print(attack_line(name, figures), flush=True)

    return evaluate(plan, defence, open_store, show)


def figures_of(plan: EvaluationSettings, victim: Run, substitute: Run | None) -> dict[str, Any]:
    """Those on disk when the same evaluation is finished and resumed, else those of a new one.

    The images are written first, then the JSON that speaks of them.
    """
    name = FLAGS.name or f"eps{plan.eps:.2f}_{FLAGS.budget}"
    path = victim.folder / "evaluation" / f"{name}.json"
    settings, images = settings_of(plan, victim), f"worst_case_{name}.npz"
    finished = results.finished(path, "evaluation", settings)
    if FLAGS.resume and finished:
        return finished
    defence, partial = defence_of(plan, victim, substitute), path.with_name(f"{name}.partial")
    figures, worst = attack_all(plan, defence, partial, settings)
    saved_attacks.write_attack_arrays(victim.folder / "attacks" / images, defence.target, worst)
    settings = settings | {"images": images}
    results.write_result(path, "evaluation", victim.config, settings, figures)
    shutil.rmtree(partial, ignore_errors=True)
    return figures


def main(arguments: Sequence[str]) -> None:
    """Evaluate and print the table."""
    if arguments or not FLAGS.victim:
        raise InputError(f"expected --victim and flags only, got {list(arguments)}")
    plan = make_settings()
    check_count("num_images", FLAGS.num_images)
    # Each loss and view is one graph; TensorFlow would warn that these are many for so few calls.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    victim = classifier_flags.load(FLAGS.victim, __file__)
    substitute = classifier_flags.load(FLAGS.substitute, __file__) if FLAGS.substitute else None
    print(f"{victim.config.model} on {victim.config.data}: eps {plan.eps:g}, {plan.budget}")
    try:
        figures = figures_of(plan, victim, substitute)
    except AttackStoppedError as error:
        print(f"stopped: {error}", file=sys.stderr)
        sys.exit(1)
    print("\n" + table(figures))


if __name__ == "__main__":
    app.run(main, define_flags)
