"""Attack a trained classifier: python attack/attack.py --victim GFZ --data mnist --eps 0.1,0.2.

Writes <run>/attacks/<attack>_eps<eps>.json and, with --save, the images beside it as .npz. Finished
batches are kept while the attack runs; --resume goes on from them.
"""

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from tf_deepbayes import attacks
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.cli import app, attack_flags, classifier_flags
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.devices import local_devices
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest
from tf_deepbayes.core.validation import check_eps
from tf_deepbayes.data import splits
from tf_deepbayes.detection import selection
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.evaluation.batch_store import AttackStoppedError, BatchStore
from tf_deepbayes.evaluation.runner import AttackResult, run
from tf_deepbayes.evaluation.scoring import EVAL_DRAWS, EvaluationSet, zero_gradient_share
from tf_deepbayes.evaluation.workers import Worker, on_device
from tf_deepbayes.reporting import text
from tf_deepbayes.runs import detector_files, guards, results
from tf_deepbayes.runs.indices import test_indices
from tf_deepbayes.runs.run import Run

FLAGS = flags.FLAGS
# What changes the figures and not the attacked images.
SCORING_ONLY = ("num_images", "indices", "eval_draws", "images")
PUBLISHED_DETECTOR = "logit"  # the one that the published superwhite attack slips past


def define_flags() -> None:
    """The flags; those of the published scripts keep their meaning."""
    classifier_flags.define_victim()
    classifier_flags.define(seed_of="the classifier's noise and the attack's draws")
    attack_flags.define()
    flags.DEFINE_list("eps", ["0.1"], "sizes of the perturbation, separated by commas")
    flags.DEFINE_string("name", None, "of the results (default: the attack and its detector)")
    flags.DEFINE_bool("save", True, "save the adversarial images")
    flags.DEFINE_bool("resume", False, "go on from the finished batches and results on disk")
    flags.DEFINE_integer("num_images", None, "attack the first N test images only")
    flags.DEFINE_list("indices", None, "attack the images in all of these files of extract_index")
    flags.DEFINE_integer("attack_samples", None, "K that the attack uses (default: num_samples)")
    flags.DEFINE_integer("eval_draws", EVAL_DRAWS, "draws of noise that the result is scored on")
    flags.DEFINE_bool("common_random_numbers", False, "the same noise at every step of the attack")
    flags.DEFINE_bool("label_only", False, "follow log p(y|.) alone, not the joint density")
    flags.DEFINE_string("substitute", None, "classifier whose gradients are followed instead")
    flags.DEFINE_string("thresholds", None, "fitted detectors (default: fit on --num_train images)")
    flags.DEFINE_integer("num_train", 2000, "training images to fit a detector on")
    flags.DEFINE_integer("pool_size", 1000, "of matching: training images to choose from")
    app.define_precision_flags()
    app.define_devices_flag()


def eps_grid(values: Sequence[str]) -> list[float]:
    """The ε-grid of the command line."""
    try:
        return [check_eps(float(value)) for value in values]
    except ValueError as error:
        raise InputError(f"--eps must be numbers separated by commas: {error}") from None


def worker_of(victim: Run, source: Run, device: str = "") -> Worker:
    """What one device attacks with; a batch's noise is that of the victim and of its substitute."""

    def reseed(number: int) -> None:
        source.reseed(number)
        victim.reseed(number)

    return Worker(access_of(source), victim.logits_fn, reseed, device)


def workers_on(names: Sequence[str]) -> list[Worker]:
    """Copies of the victim and its substitute on each of these devices."""
    workers = []
    for name in names:
        with on_device(name):
            victim = classifier_flags.load(FLAGS.victim, __file__)
            source = (
                classifier_flags.load(FLAGS.substitute, __file__) if FLAGS.substitute else victim
            )
        workers.append(worker_of(victim, source, name))
    return workers


def access_of(source: Run) -> ModelAccess:
    """What the attack sees of the victim, or of its substitute."""
    factor = None
    if FLAGS.label_only:
        factor = getattr(source.model, "label_factor", None)
        if factor is None:
            raise InputError(f"{source.config.model} has no factor p(y|.); leave out --label_only")
    return source.access(FLAGS.attack_samples, factor, FLAGS.common_random_numbers)


def detector_name() -> str | None:
    """The detector to slip past; with --lbd and no --detector the published one."""
    return PUBLISHED_DETECTOR if FLAGS.lbd is not None and not FLAGS.detector else FLAGS.detector


def with_detector_or_guides(
    attack: attacks.Attack, victim: Run, train: splits.Split
) -> attacks.Attack:
    """The attack with the detector or the images that it needs."""
    if name := detector_name():
        names = selection.detector_names([name], guards.has_p_x(victim))
        if FLAGS.thresholds:
            fitted = detector_files.read_detectors(pathlib.Path(FLAGS.thresholds))
        else:
            size, few = FLAGS.batch_size, train.first(min(FLAGS.num_train, len(train)))
            fitted, _ = guards.fit(victim, few, FLAGS.seed, 0.05, "published", size)
        (detector,) = guards.choose(names, fitted)
        return dataclasses.replace(attack, detector=detector)  # type: ignore[call-arg]
    if isinstance(attack, attacks.LogitMatching):
        few = train.first(min(FLAGS.pool_size, len(train)))
        guides = attacks.GuideImages.of_right(
            victim.logits_fn, few.pixels, few.labels, FLAGS.batch_size
        )
        return dataclasses.replace(attack, guides=guides)
    return attack


def settings_of(attack: attacks.Attack, eps: float, victim: Run, indices: Array) -> dict[str, Any]:
    """All that the result depends on; indices are those of the test images attacked."""
    names = ("attack_samples", "common_random_numbers", "label_only", "substitute", "mode", "seed")
    return {
        "attack": attack.settings(),
        "eps": eps,
        "num_samples": victim.sampling.num_samples,
        "noise": victim.recorded_scheme,
        **{name: FLAGS[name].value for name in names},
        "num_images": FLAGS.num_images,
        "indices": digest(indices) if FLAGS.indices else None,
        "early_stop": getattr(attack, "check_every", None) if FLAGS.early_stop else None,
        "eval_draws": FLAGS.eval_draws,
        **app.precision_settings(),
    }


def save(
    name: str, victim: Run, settings: dict, target: EvaluationSet, found: AttackResult
) -> None:
    """Images first, then the JSON that speaks of them."""
    folder = victim.folder / "attacks"
    if FLAGS.save:
        saved_attacks.write_attack_arrays(folder / f"{name}.npz", target, found)
    settings = settings | {"images": f"{name}.npz" if FLAGS.save else None}
    results.write_result(folder / f"{name}.json", "attack", victim.config, settings, found.figures)


def attack_at(
    eps: float,
    attack: attacks.Attack,
    workers: Sequence[Worker],
    victim: Run,
    indices: Array,
    prepared: Callable[[], tuple[EvaluationSet, float]],
) -> dict[str, Any]:
    """The figures at one ε: those on disk when the same attack is finished and resumed.

    Args:
        indices: numbers of the test images.
        prepared: what is attacked, and the share of zero gradients: the time that they take is
            for attacks that are not finished.
    """
    early = "early_stop" if FLAGS.early_stop else None
    stem = FLAGS.name or "_".join(filter(None, [FLAGS.attack, FLAGS.detector, early]))
    name = saved_attacks.attack_name(stem, attack, eps)
    settings = settings_of(attack, eps, victim, indices)
    finished = results.finished(victim.folder / "attacks" / f"{name}.json", "attack", settings)
    if FLAGS.resume and finished:
        return finished
    lasting = {n: value for n, value in settings.items() if n not in SCORING_ONLY}
    store = BatchStore(victim.folder / "attacks" / f"{name}.partial", lasting, FLAGS.resume)
    first, *others = workers
    target, zero = prepared()
    found = run(attack, first.access, target, eps, store, first.reseed, zero, others)
    save(name, victim, settings, target, found)
    store.remove()
    return found.figures


def main(arguments: Sequence[str]) -> None:
    """Attack at each ε and print a line for it."""
    if arguments or not FLAGS.victim:
        raise InputError(f"expected --victim and flags only, got {list(arguments)}")
    grid, attack, names = eps_grid(FLAGS.eps), attack_flags.make(), local_devices(FLAGS.devices)
    victim = classifier_flags.load(FLAGS.victim, __file__)
    source = classifier_flags.load(FLAGS.substitute, __file__) if FLAGS.substitute else victim
    dataset = victim.load_data(FLAGS.data_dir)
    workers = [worker_of(victim, source), *workers_on(names[1:])]
    indices = test_indices(dataset, FLAGS.indices)
    test = dataset.test.take(indices).first(FLAGS.num_images)
    indices, attack = indices[: len(test)], with_detector_or_guides(attack, victim, dataset.train)

    @functools.cache
    def prepared() -> tuple[EvaluationSet, float]:
        common = (test.pixels, test.labels, attack.targeted, attack.batch_size, FLAGS.eval_draws)
        target = EvaluationSet.of(victim.logits_fn, *common, indices=indices)
        return target, zero_gradient_share(workers[0].access.logits, target, attack)

    print(f"{victim.config.model} on {victim.config.data}: {attack}, {len(test)} images")
    try:
        for eps in grid:
            report(eps, attack_at(eps, attack, workers, victim, indices, prepared))
    except AttackStoppedError as error:
        print(f"stopped: {error}", file=sys.stderr)
        sys.exit(1)


def report(eps: float, figures: dict[str, Any]) -> None:
    """One line of the table."""
    steps = f"  {figures['mean_steps']:.1f} steps" if "mean_steps" in figures else ""
    print(
        f"eps {eps:.2f}  success {text.format_share(figures['success_rate'])}"
        f"  accuracy {figures['clean_accuracy']:.3f} -> {figures['accuracy']:.3f}"
        f"  l2 {figures['perturbation']['l2']['mean']:.2f}"
        f"  zero gradients {figures['zero_gradients']:.3f}"
        f"  clean predictions that change {figures['clean_prediction_changes']:.3f}"
        f"{steps}  {figures['seconds']:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    app.run(main, define_flags)
