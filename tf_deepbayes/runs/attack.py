"""Attack a run: the images, the workers, the detector or guides, and the files written.

Writes <run>/attacks/<name>_eps<eps>.json, and next to it as .npz the images and the outcome of each
in every draw. Finished batches are kept while an attack runs, so that a stopped attack continues
from them.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_deepbayes import attacks
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest
from tf_deepbayes.data.splits import Split
from tf_deepbayes.detection import selection
from tf_deepbayes.evaluation import result_names, saved_attacks
from tf_deepbayes.evaluation.batch_store import BatchStore
from tf_deepbayes.evaluation.runner import AttackResult, run
from tf_deepbayes.evaluation.scoring import EVAL_DRAWS, EvaluationSet, zero_gradient_share
from tf_deepbayes.evaluation.workers import Worker, on_device
from tf_deepbayes.runs import guards, results
from tf_deepbayes.runs.indices import test_indices
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.identity import (
    identity_of,
    sampling_parts,
    substitute_parts,
    weights_digest,
)
from tf_deepbayes.runs.state.lock import locked

# Settings that change the figures but not the attacked images.
SCORING_ONLY = ("num_images", "indices", "eval_draws", "images", "data")
PUBLISHED_DETECTOR = "logit"  # the one that the published superwhite attack evades
# → (the run attacked, the run whose gradients are followed), freshly loaded.
LoadRuns = Callable[[], tuple[Run, Run]]


@dataclasses.dataclass(frozen=True)
class AttackOptions:
    """How a run is attacked, apart from the attack itself.

    Attributes:
        name: name of the results, to which the size is added; None: the attack's, with every
            setting that is not the published one, see `evaluation.result_names`.
        num_images: attack only the first images.
        indices: files; attack the test images that are in all of them.
        attack_samples: K that the attack uses; None: the victim's.
        eval_draws: draws of noise that the result is scored on.
        common_random_numbers: use the same noise in every step of the attack.
        label_only: follow log p(y|·) alone.
        substitute: name of the run whose gradients are followed, for the record.
        detector: name of the detector to evade.
        thresholds: file of fitted detectors; None fits them on `num_train` training images.
        pool_size: training images to choose guides from.
        save: write the images.
        resume: continue from the finished batches and results on disk.
        overwrite: replace a result on disk that has other settings.
        computing: precision settings in use, for the record.
    """

    name: str | None = None
    num_images: int | None = None
    indices: Sequence[str] | None = None
    attack_samples: int | None = None
    eval_draws: int = EVAL_DRAWS
    common_random_numbers: bool = False
    label_only: bool = False
    substitute: str | None = None
    detector: str | None = None
    thresholds: str | None = None
    num_train: int = 2000
    pool_size: int = 1000
    save: bool = True
    resume: bool = False
    overwrite: bool = False
    computing: Mapping[str, bool] = dataclasses.field(default_factory=dict)

    def parts(self) -> list[str]:
        """What the name of a result says of the access to the classifier, and of the images."""
        names = ("attack_samples", "common_random_numbers", "label_only")
        given = {name: getattr(self, name) for name in names}
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        parts = result_names.parts_of(given, defaults) + substitute_parts(self.substitute)
        return parts if self.num_images is None else [*parts, f"n{self.num_images}"]


class RunAttack:
    """An attack on the test images of a run, ready to run at each size.

    Args:
        load: loads the victim and the run whose gradients are followed (victim or substitute).
        data_dir: folder to search first for the data set.
        devices: devices on which copies attack, see `local_devices`.

    Attributes:
        attack: the attack, with the detector or guides that it needs.
        test: the images attacked.
    """

    def __init__(
        self,
        attack: attacks.Attack,
        options: AttackOptions,
        load: LoadRuns,
        data_dir: str | None = None,
        devices: Sequence[str] = ("",),
    ) -> None:
        self.options = options
        self.victim, source = load()
        dataset = self.victim.load_data(data_dir)
        self.workers = [worker_of(self.victim, source, options)]
        for device in devices[1:]:
            with on_device(device):
                self.workers.append(worker_of(*load(), options, device))
        indices = test_indices(dataset, options.indices)
        self.test = dataset.test.take(indices).first(options.num_images)
        self.indices = indices[: len(self.test)]
        self.attack = with_detector_or_guides(attack, self.victim, dataset.train, options)
        self.identity = identity_of(self.victim.model, self.test)
        if source is not self.victim:
            self.identity["substitute_weights"] = weights_digest(source.model)

    def __str__(self) -> str:
        config = self.victim.config
        return f"{config.model} on {config.data}: {self.attack}, {len(self.test)} images"

    @functools.cached_property
    def target(self) -> EvaluationSet:
        """The images and the victim, ready for the attack."""
        test, attack = self.test, self.attack
        sizes = (attack.targeted, attack.batch_size, self.options.eval_draws)
        return EvaluationSet.of(
            self.victim.logits_fn, test.pixels, test.labels, *sizes, indices=self.indices
        )

    @functools.cached_property
    def zero_gradients(self) -> float:
        """The share of images with a zero gradient."""
        return zero_gradient_share(self.workers[0].access.logits, self.target, self.attack)

    def name(self, eps: float) -> str:
        """The name of the results at one ε."""
        options, victim = self.options, self.victim
        if options.name:
            return result_names.attack_name(options.name, self.attack, eps)
        detector = None if options.detector == PUBLISHED_DETECTOR else options.detector
        parts = [*result_names.attack_parts(self.attack), *sampling_parts(victim), *options.parts()]
        begin = result_names.joined(self.attack.name, detector)
        return result_names.attack_name(begin, self.attack, eps, parts)

    def at(self, eps: float) -> dict[str, Any]:
        """The figures at one ε; with `resume`, those of a finished attack come from disk.

        Raises:
            InputError: another process computes it, or the result on disk has other settings.
        """
        name, folder = self.name(eps), self.victim.folder / "attacks"
        with locked(folder / f".{name}.lock", f"the result {name}"):
            return self._at(name, folder, eps)

    def _at(self, name: str, folder: pathlib.Path, eps: float) -> dict[str, Any]:
        settings, options, path = self.settings(eps), self.options, folder / f"{name}.json"
        finished = results.on_disk(path, "attack", settings, options.overwrite)
        if options.resume and finished:
            return finished
        lasting = {n: value for n, value in settings.items() if n not in SCORING_ONLY}
        store = BatchStore(folder / f"{name}.partial", lasting, options.resume, options.overwrite)
        first, *others = self.workers
        target, zero = self.target, self.zero_gradients
        found = run(self.attack, first.access, target, eps, store, first.reseed, zero, others)
        self._write(folder, name, settings, found)
        store.remove()
        return found.figures

    def settings(self, eps: float) -> dict[str, Any]:
        """Everything the result depends on; `indices` are of the test images attacked."""
        attack, options, victim = self.attack, self.options, self.victim
        names = ("attack_samples", "common_random_numbers", "label_only", "substitute")
        stops_early = getattr(attack, "early_stop", False)
        return {
            "attack": attack.settings_at(eps),
            "eps": eps,
            "num_samples": victim.sampling.num_samples,
            "noise": victim.recorded_scheme,
            **{name: getattr(options, name) for name in names},
            **self.identity,
            "mode": victim.sampling.mode,
            "seed": victim.seed,
            "num_images": options.num_images,
            "indices": digest(self.indices) if options.indices else None,
            "early_stop": getattr(attack, "check_every", None) if stops_early else None,
            "eval_draws": options.eval_draws,
            **options.computing,
        }

    def _write(self, folder: pathlib.Path, name: str, settings: dict, found: AttackResult) -> None:
        """Write the arrays first, then the JSON that refers to them."""
        saved_attacks.write_attack_arrays(
            folder / f"{name}.npz", self.target, found, self.options.save
        )
        settings = settings | {"images": f"{name}.npz" if self.options.save else None}
        config = self.victim.config
        results.write_result(folder / f"{name}.json", "attack", config, settings, found.figures)


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
    attack: attacks.Attack, victim: Run, train: Split, options: AttackOptions
) -> attacks.Attack:
    """The attack with the detector or guide images that it needs."""
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
