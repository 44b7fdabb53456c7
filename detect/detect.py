"""Detect a saved attack: python detect/detect.py --victim GFZ --data mnist --attack fgsm_eps0.10.

The guard (the victim unless given) scores the images; its detectors are fitted on its logits of
training images, or read from a file of --thresholds. Writes
<victim's run>/detection/<attack>[_guard_<model>].json, with --plot the ROC curves beside it, and
after fitting <guard's run>/detection/thresholds_….json. Other thresholds than the published ones at
5% are in the result's name too: <attack>_quantile_fpr1.json.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from tf_deepbayes.cli import app, classifier_flags
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.data import splits
from tf_deepbayes.detection import selection, thresholds
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.legacy.published_names import saved_attack_name
from tf_deepbayes.reporting import text
from tf_deepbayes.reporting.roc_figure import write_roc_figure
from tf_deepbayes.runs import detector_files, guards, results
from tf_deepbayes.runs.detector_files import FitSettings
from tf_deepbayes.runs.guards import ScoredAttack
from tf_deepbayes.runs.indices import test_indices
from tf_deepbayes.runs.run import Run

FLAGS = flags.FLAGS
FIT_FLAGS = ("false_positive_rate", "threshold", "num_train")  # what a file of thresholds has fixed


def define_flags() -> None:
    """The flags; those of the published script keep their meaning."""
    flags.DEFINE_string("victim", None, "the attacked classifier, as for attack/attack.py")
    flags.DEFINE_string("guard", None, "the classifier that detects (default: the victim)")
    flags.DEFINE_string("attack", "fgsm_eps0.10", "name of the saved attack, ours or published")
    flags.DEFINE_bool("targeted", False, "the attack was targeted: its name ends in _targeted")
    flags.DEFINE_list("indices", None, "keep to images in all of these files of extract_index")
    flags.DEFINE_bool("save", True, "write the result and the fitted detectors")
    classifier_flags.define("the guard")
    names = ", ".join(selection.DETECTORS)
    flags.DEFINE_list("detectors", None, f"of {names} (default: all that the guard's p(x) allows)")
    flags.DEFINE_float("false_positive_rate", 5.0, "percent of training images to reject")
    flags.DEFINE_enum("threshold", "published", list(thresholds.THRESHOLDS), "kind of threshold")
    flags.DEFINE_integer("num_train", None, "fit on the first N training images (default: all)")
    flags.DEFINE_string("thresholds", None, "file of fitted detectors to use instead of fitting")
    flags.DEFINE_integer("num_clean", 1000, "clean test images for the false-positive rate")
    flags.DEFINE_integer("batch_size", 100, "images at a time")
    flags.DEFINE_bool("plot", False, "draw the ROC curves as PNG beside the result")


def check_flags(arguments: Sequence[str]) -> None:
    """What can be refused before anything is loaded."""
    if arguments or not FLAGS.victim:
        raise InputError(f"expected --victim and flags only, got {list(arguments)}")
    check_count("batch_size", FLAGS.batch_size)
    check_count("num_clean", FLAGS.num_clean)
    if FLAGS.plot and not FLAGS.save:
        raise InputError("--plot is drawn beside the result, which --nosave leaves out; drop one")
    given = [f"--{name}" for name in FIT_FLAGS if FLAGS[name].present]
    if FLAGS.thresholds and given:
        raise InputError(f"{', '.join(given)} and --thresholds, whose file says so; leave one out")
    if not 0.0 < FLAGS.false_positive_rate < 100.0:
        rate = FLAGS.false_positive_rate
        raise InputError(f"--false_positive_rate must be in (0, 100) percent, got {rate}")


def attack_name() -> str:
    """Name of the saved attack's files."""
    name = saved_attack_name(FLAGS.attack, FLAGS.data)
    return name + ("_targeted" if FLAGS.targeted and not name.endswith("_targeted") else "")


def saved_attack(victim: Run, indices: Array) -> dict[str, Array]:
    """The saved attack's arrays, with --indices on those images alone."""
    saved = saved_attacks.read_attack_arrays(victim.folder / "attacks" / f"{attack_name()}.npz")
    return saved_attacks.select_images(saved, indices) if FLAGS.indices else saved


def fit(train: splits.Split) -> tuple[dict[str, Detector], FitSettings]:
    """Fit the guard's detectors and write them to its run.

    They are fitted on a copy of the guard, so that its noise on the images that are scored is the
    same whether the detectors were fitted or read.
    """
    guard = classifier_flags.load(FLAGS.guard or FLAGS.victim, __file__)
    print(f"fitting the detectors of {guard.config.model} on {len(train)} images", flush=True)
    rate = FLAGS.false_positive_rate / 100.0
    detectors, settings = guards.fit(
        guard, train, FLAGS.seed, rate, FLAGS.threshold, FLAGS.batch_size
    )
    if FLAGS.save:
        path = guard.folder / "detection" / settings.file_name
        detector_files.write_detectors(path, guard.config, settings, detectors)
        print(f"fitted detectors in {path}")
    return detectors, settings


def detect(
    victim: Run, guard: Run, names: Sequence[str]
) -> tuple[list[dict[str, Any]], FitSettings]:
    """The figures of each detector, and what the detectors were fitted with."""
    dataset = guard.load_data(FLAGS.data_dir)
    indices = test_indices(dataset, FLAGS.indices)
    saved = saved_attack(victim, indices)
    train = dataset.train.first(FLAGS.num_train)
    clean = dataset.test.take(indices[: FLAGS.num_clean])
    read = None
    if FLAGS.thresholds:
        read = guards.read(guard, pathlib.Path(FLAGS.thresholds))
    is_transfer = guard.folder.resolve() != victim.folder.resolve()
    scored = ScoredAttack.of(guard, clean, saved, is_transfer, FLAGS.batch_size)
    detectors, settings = read or fit(train)
    chosen = guards.choose(names, detectors)
    for detector in chosen:
        missed = guards.missed_rate(detector, settings)
        if missed is not None:
            print(
                f"{detector.name}: the {detector.threshold} thresholds reject {missed:.3f} of the "
                f"training images, {settings.false_positive_rate:.3f} was asked for"
            )
    return scored.figures(chosen), settings


def main(arguments: Sequence[str]) -> None:
    """Run the detectors and print a line for each."""
    check_flags(arguments)
    victim = classifier_flags.load(FLAGS.victim, __file__)
    guard = classifier_flags.load(FLAGS.guard, __file__) if FLAGS.guard else victim
    has_p_x = guards.has_p_x(guard)
    names = selection.detector_names(FLAGS.detectors, has_p_x)
    if FLAGS.detectors is None and not has_p_x:
        print(f"{guard.config.model} has no p(x): the marginal and logit detectors are left out")
    figures, settings = detect(victim, guard, names)
    if FLAGS.save:
        write(victim, guard, settings, figures)
    report(figures)


def write(
    victim: Run, guard: Run, fitted: FitSettings, figures: Sequence[Mapping[str, Any]]
) -> None:
    """Write the result, with --plot the ROC curves beside it."""
    attack = attack_name()
    name = attack + (f"_guard_{guard.folder.name}" if FLAGS.guard else "")
    name += "" if fitted.kind == detector_files.PUBLISHED else f"_{fitted.kind}"
    settings = {
        "attack": attack,
        "indices": FLAGS.indices,
        "guard": guard.config.model,
        "num_clean": FLAGS.num_clean,
        "num_samples": guard.sampling.num_samples,
        "noise": guard.recorded_scheme,
        "seed": FLAGS.seed,
        "false_positive_rate": fitted.false_positive_rate,
        "num_train": fitted.num_train,
        "fitted": dataclasses.asdict(fitted),
    }
    path = victim.folder / "detection" / f"{name}.json"
    results.write_result(path, "detection", victim.config, settings, figures)
    if FLAGS.plot:
        title = f"{attack} on {victim.config.model}, detected by {guard.config.model}"
        write_roc_figure(path.with_suffix(".png"), figures, title)


def report(figures: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each detector."""
    for row in figures:
        print(
            f"{row['detector']:9} detects {text.format_share(row['detection_rate'])} of "
            f"{row['successful_attacks']} successful attacks  "
            f"false positives {row['false_positive_rate']:.3f}  "
            f"misclassified and undetected {row['misclassified_undetected']:.3f}  "
            f"AUROC {text.format_share(row['auroc']['successful'])}, all {row['auroc']['all']:.3f}"
        )


if __name__ == "__main__":
    app.run(main, define_flags)
