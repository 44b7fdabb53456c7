"""Attack a run: the images, the workers, the detector or guides, and the files written.

Writes <run>/attacks/<name>_eps<eps>.json, and next to it as .npz the images and the outcome of each
in every draw. Finished batches are kept while an attack runs, so that a stopped attack continues
from them.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_deepbayes import attacks
from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.files import digest
from tf_deepbayes.evaluation import result_names, saved_attacks
from tf_deepbayes.evaluation.batch_store import BatchStore
from tf_deepbayes.evaluation.parts import Part
from tf_deepbayes.evaluation.runner import SCORING, AttackResult, run, run_part
from tf_deepbayes.evaluation.scoring import EvaluationSet, attack_rows, zero_gradient_share
from tf_deepbayes.evaluation.workers import on_device
from tf_deepbayes.runs import results
from tf_deepbayes.runs.attacking.access import with_detector_or_guides, worker_of
from tf_deepbayes.runs.attacking.options import AttackOptions
from tf_deepbayes.runs.attacking.targets import check_head
from tf_deepbayes.runs.indices import IN_FILE_ORDER, test_indices
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.identity import (
    identity_of,
    sampling_parts,
    weights_digest,
)
from tf_deepbayes.runs.state.lock import locked

# Settings that change the figures but not the attacked images.
SCORING_ONLY = ("num_images", "indices", "eval_draws", "images", "data")
PUBLISHED_DETECTOR = "logit"  # the one that the published superwhite attack evades
# → (the run attacked, the run whose gradients are followed), freshly loaded.
LoadRuns = Callable[[], tuple[Run, Run]]


class RunAttack:
    """An attack on the test images of a run, ready to run at each size.

    Args:
        load: loads the victim and the run whose gradients are followed (victim or substitute).
        data_dir: folder of the data set, the only one searched; None: the usual places.
        devices: devices on which copies attack, see `local_devices`.

    Attributes:
        victim, source: the run attacked, and the run whose gradients are followed.
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
        self.victim, self.source = load()
        dataset = self.victim.load_data(data_dir)
        self.workers = [worker_of(self.victim, self.source, options)]
        for device in devices[1:]:
            with on_device(device):
                self.workers.append(worker_of(*load(), options, device))
        indices = test_indices(dataset, options.indices, options.image_order)
        self.test = dataset.test.take(indices).first(options.num_images)
        self.indices = indices[: len(self.test)]
        check_head(attack, self.source)
        given = dataset.train, self.test, options
        self.attack = with_detector_or_guides(attack, self.victim, *given)
        self.identity = identity_of(self.victim.model, self.test)
        if self.source is not self.victim:
            self.identity["substitute_weights"] = weights_digest(self.source.model)

    def __str__(self) -> str:
        config = self.victim.config
        return f"{config.model} on {config.data}: {self.attack}, {len(self.test)} images"

    @functools.cached_property
    def target(self) -> EvaluationSet:
        """The images and the victim, ready for the attack, with the noise of a run just loaded."""
        self.victim.restart()
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
        is_published = self.attack.name == "superwhite" and options.detector == PUBLISHED_DETECTOR
        detector = None if is_published else options.detector
        parts = [*result_names.attack_parts(self.attack), *sampling_parts(victim), *options.parts()]
        begin = result_names.joined(self.attack.name, detector)
        return result_names.attack_name(begin, self.attack, eps, parts)

    def path(self, eps: float) -> pathlib.Path:
        """The result's file."""
        return self.victim.folder / "attacks" / f"{self.name(eps)}.json"

    def at(self, eps: float) -> dict[str, Any]:
        """The figures at one ε; with `resume`, those of a finished attack come from disk.

        Raises:
            InputError: another process computes it, or the result on disk has other settings.
        """
        path = self.path(eps)
        with locked(path.with_name(f".{path.stem}.lock"), f"the result {path.stem}"):
            return self._at(path, eps)

    def _at(self, path: pathlib.Path, eps: float) -> dict[str, Any]:
        settings, options = self.settings(eps), self.options
        finished = results.on_disk(path, "attack", settings, options.overwrite)
        if options.resume and finished and (self._has_images(path) or not options.save):
            return finished
        store = self._store(path, settings, options.resume)
        first, *others = self.workers
        target, zero = self.target, self.zero_gradients
        found = run(self.attack, first.access, target, eps, store, first.reseed, zero, others)
        found.figures.update(self._of_substitute(found.adversarial))
        self._write(path, settings, found)
        store.remove()
        return found.figures

    @staticmethod
    def _has_images(path: pathlib.Path) -> bool:
        return bool(results.read_result(path, "attack")["settings"].get("images"))

    def _of_substitute(self, adversarial: Array) -> dict[str, float]:
        """The accuracy of the substitute, if there is one, on the attacked images in one draw."""
        source = self.source
        if source is self.victim:
            return {}
        source.reseed(SCORING)
        logits = metrics.predict(source.logits_fn, adversarial, self.attack.batch_size)
        return {"substitute_accuracy": metrics.accuracy(logits.argmax(1), self.target.labels)}

    def _store(self, path: pathlib.Path, settings: Mapping[str, Any], resume: bool) -> BatchStore:
        """Where the finished batches are."""
        lasting = {n: value for n, value in settings.items() if n not in SCORING_ONLY}
        folder, options = path.with_suffix(".partial"), self.options
        return BatchStore(folder, lasting, resume, options.overwrite, options.merge)

    def part_at(self, eps: float, part: Part) -> str:
        """Attack a part of the batches at one ε, and keep them for the merge.

        Returns:
            What there is now, in words.

        Raises:
            InputError: another process does this part, or the result on disk has other settings.
        """
        path, settings = self.path(eps), self.settings(eps)
        what = f"part {part} of {path.stem}"
        with locked(part.lock(path), what):
            if results.on_disk(path, "attack", settings, False):
                return f"{what}: the result is finished"
            store, victim, test = self._store(path, settings, resume=True), self.victim, self.test
            classes, targeted = victim.config.architecture.num_classes, self.attack.targeted
            rows, goals = attack_rows(test.labels, classes, targeted)
            numbers = run_part(
                self.attack, self.workers, test.pixels[rows], goals, eps, store, part
            )
            return f"{what}: batches done: {len(numbers)}, kept in {store.folder}"

    def settings(self, eps: float) -> dict[str, Any]:
        """Everything the result depends on; `indices` are of the test images attacked."""
        attack, options, victim = self.attack, self.options, self.victim
        names = ["attack_samples", "common_random_numbers", "label_only", "substitute"]
        names += [] if options.image_order == IN_FILE_ORDER else ["image_order"]
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

    def _write(self, path: pathlib.Path, settings: dict, found: AttackResult) -> None:
        """Write the arrays first, then the JSON that refers to them."""
        arrays, save = path.with_suffix(".npz"), self.options.save
        saved_attacks.write_attack_arrays(arrays, self.target, found, save)
        settings = settings | {"images": arrays.name if save else None}
        config = self.victim.config
        results.write_result(path, "attack", config, settings, found.figures)
