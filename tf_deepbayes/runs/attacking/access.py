"""What an attack sees of a run: its workers, and the detector or guides that it needs."""

import dataclasses
import pathlib

from tf_deepbayes import attacks
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.attacks.adaptive.attacks import Imitation
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.splits import Split
from tf_deepbayes.detection import selection
from tf_deepbayes.evaluation.workers import Worker
from tf_deepbayes.runs import guards
from tf_deepbayes.runs.attacking.options import AttackOptions
from tf_deepbayes.runs.attacking.targets import check_targets, targets_of
from tf_deepbayes.runs.run import Run


def worker_of(victim: Run, source: Run, options: AttackOptions, device: str = "") -> Worker:
    """The worker on one device; it reseeds the noise of both victim and substitute."""

    def reseed(number: int) -> None:
        source.reseed(number)
        victim.reseed(number)

    return Worker(access_of(source, options), victim.logits_fn, reseed, device)


def access_of(source: Run, options: AttackOptions) -> ModelAccess:
    """What the attack sees of the victim or its substitute."""
    factor = None
    if options.label_only:
        factor = getattr(source.model, "label_factor", None)
        if factor is None:
            raise InputError(f"{source.config.model} has no factor p(y|.); leave out --label_only")
    return source.access(options.attack_samples, factor, options.common_random_numbers)


def with_detector_or_guides(
    attack: attacks.Attack, victim: Run, train: Split, test: Split, options: AttackOptions
) -> attacks.Attack:
    """The attack with the detector, guide images or targets that it needs.

    Args:
        test: the images attacked.
    """
    check_targets(attack, options.targets)
    if isinstance(attack, Imitation):
        targets = targets_of(victim, test, options.targets, attack.batch_size)
        attack = dataclasses.replace(attack, targets=targets)
    if options.detector:
        names = selection.detector_names([options.detector], guards.has_p_x(victim))
        if options.thresholds:
            fitted, _ = guards.read(victim, pathlib.Path(options.thresholds))
        else:
            few, size = train.first(min(options.num_train, len(train))), attack.batch_size
            fitted, _ = guards.fit(victim, few, victim.seed, 0.05, "published", size)
        (detector,) = selection.choose(names, fitted)
        return dataclasses.replace(attack, detector=detector)  # type: ignore[call-arg]
    if isinstance(attack, attacks.LogitMatching):
        few = train.first(min(options.pool_size, len(train)))
        guides = attacks.GuideImages.of_right(
            victim.logits_fn, few.pixels, few.labels, attack.batch_size
        )
        return dataclasses.replace(attack, guides=guides)
    return attack
