"""Evaluate the robustness of a run: what the attacks see, and the files kept and written.

Writes <run>/evaluation/<name>.json, and the worst images as <run>/attacks/worst_case_<name>.npz.
"""

import dataclasses
import functools
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.splits import Split
from tf_deepbayes.detection import selection
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.evaluation import saved_attacks
from tf_deepbayes.evaluation.parts import Part
from tf_deepbayes.robustness.attack_cache import FinishedAttack
from tf_deepbayes.robustness.attack_sets import AttackSet, check_names, chosen
from tf_deepbayes.robustness.decomposition.sizes import SIZES, Sizes
from tf_deepbayes.robustness.evaluate import evaluate, evaluate_part
from tf_deepbayes.robustness.suite import Defence, EvaluationSettings, SuiteAttack
from tf_deepbayes.runs import guards, results
from tf_deepbayes.runs.evaluating.defence import defence_of
from tf_deepbayes.runs.evaluating.naming import result_name
from tf_deepbayes.runs.evaluating.stores import FOLDER, Stores, lasting
from tf_deepbayes.runs.evaluating.taken_apart import TakenApart, write_pages
from tf_deepbayes.runs.indices import IN_FILE_ORDER, test_indices
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.identity import (
    identity_of,
    substitute_parts,
    weights_digest,
)
from tf_deepbayes.runs.state.lock import locked

NUM_IMAGES = 100  # of an evaluation, unless told otherwise


@dataclasses.dataclass(frozen=True)
class RunEvaluation:
    """An evaluation of a run.

    Attributes:
        plan: the attacks and their sizes.
        budget: the name of its amount of work.
        victim: a freshly loaded run.
        substitute: a run for a transfer attack, and its name for the record.
        thresholds: file of fitted detectors, for attacks that evade them.
        name: name of the result; None: the size, the budget and every setting that is not the
            default.
        image_order: which images are the first, see `indices.test_indices`.
        resume: continue from the finished batches and the result on disk.
        merge: take all batches from disk, where the parts of a divided evaluation have left them.
        overwrite: replace a result on disk that has other settings.
        attacks: names of attacks instead of the budget's set, see `robustness.attack_sets.chosen`.
        decompose: take the robustness apart as well; its attacks are kept for later results.
        curves: with the budget curves, which are most of the work.
        computing: precision settings in use, for the record.
    """

    plan: EvaluationSettings
    budget: str
    victim: Run
    name: str | None = None
    num_images: int = NUM_IMAGES
    substitute: Run | None = None
    substitute_name: str | None = None
    thresholds: str | None = None
    data_dir: str | None = None
    image_order: str = IN_FILE_ORDER
    resume: bool = False
    merge: bool = False
    overwrite: bool = False
    attacks: Sequence[str] | None = None
    decompose: bool = False
    curves: bool = True
    computing: Mapping[str, bool] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.attacks is not None:
            check_names(self.attacks)

    def figures(
        self,
        on_done: Callable[[FinishedAttack], None],
        say: Callable[[str], None] = lambda line: None,
    ) -> dict[str, Any]:
        """Run the evaluation; with `resume`, the figures of a finished one come from disk.

        The images are written first, then the JSON that refers to them.

        Args:
            on_done: called with each attack when it is finished.
            say: called with each line of what taking it apart will cost.

        Raises:
            AttackStoppedError: an attack cannot continue; finished batches are kept.
        """
        if self.merge:
            self._check_undivided()
        with locked(self.path.with_name(f".{self.path.stem}.lock"), f"the result {self.path.stem}"):
            settings = self.settings()
            finished = results.on_disk(self.path, "evaluation", settings, self.overwrite)
            return finished if self.resume and finished else self._figures(settings, on_done, say)

    def _figures(
        self,
        settings: dict[str, Any],
        on_done: Callable[[FinishedAttack], None],
        say: Callable[[str], None],
    ) -> dict[str, Any]:
        path, plan, done = self.path, self.plan, list[FinishedAttack]()

        def remember(attack: FinishedAttack) -> None:
            done.append(attack)
            on_done(attack)

        defence, open_store = self._defence(), self._stores(settings, self.resume)
        attacks = self._components(defence)
        apart = self.decompose and TakenApart(self.victim, plan, self.sizes, defence, attacks)
        for line in apart.costs() if apart else ():
            say(line)
        figures, worst = evaluate(plan, defence, open_store, remember, attacks)
        if apart:
            figures["decomposition"] = apart.figures(worst, open_store, on_done, done)
            write_pages(path, plan, figures)
        images = f"worst_case_{path.stem}.npz"
        place = self.victim.folder / "attacks" / images
        saved_attacks.write_attack_arrays(place, defence.target, worst)
        outcomes = {attack.component.name: attack.outcome.draws.argmax(-1) for attack in done}
        saved_attacks.write_outcomes(path.with_suffix(".npz"), defence.target, outcomes)
        settings = settings | {"images": images}
        results.write_result(path, "evaluation", self.victim.config, settings, figures)
        shutil.rmtree(path.with_suffix(".partial"), ignore_errors=True)
        return figures

    @property
    def path(self) -> pathlib.Path:
        """The result's file."""
        return self.victim.folder / "evaluation" / f"{self.result_name}.json"

    @property
    def result_name(self) -> str:
        """The name of the result's files."""
        if self.name:
            return self.name
        extra = ["thresholds"] if self.thresholds else []
        if self.num_images != NUM_IMAGES:
            extra.append(f"n{self.num_images}")
        extra += [] if self.image_order == IN_FILE_ORDER else [self.image_order]
        extra += substitute_parts(self.substitute_name)
        extra += self.attacks or ()
        if self.decompose:
            extra.append("decomposed" if self.curves else "decomposed_no_curves")
        return result_name(self.plan, self.budget, self.victim, extra)

    @property
    def sizes(self) -> Sizes:
        """The sizes of what takes the robustness apart."""
        return SIZES[self.budget] if self.curves else SIZES[self.budget].without_curves()

    def settings(self) -> dict[str, Any]:
        """Everything the result depends on."""
        sampling = self.victim.sampling
        return {
            **self.plan.settings(self.victim.samples),
            **({} if self.attacks is None else {"attacks": list(self.attacks)}),
            **({"decompose": dataclasses.asdict(self.sizes)} if self.decompose else {}),
            "num_images": self.num_images,
            "substitute": self.substitute_name,
            "thresholds": self.thresholds,
            "mode": sampling.mode,
            "num_samples": sampling.num_samples,
            "noise": self.victim.recorded_scheme,
            **identity_of(self.victim.model, self.test),
            "substitute_weights": self.substitute and weights_digest(self.substitute.model),
            "detectors": {name: d.settings() for name, d in self.detectors.items()},
            **({} if self.image_order == IN_FILE_ORDER else {"image_order": self.image_order}),
            **self.computing,
        }

    def do_part(self, part: Part) -> str:
        """Do a part of the batches of each attack, and keep them for the merge.

        Returns:
            What there is now, in words.

        Raises:
            InputError: another process does this part, or the result on disk has other settings.
        """
        self._check_undivided()
        path, what = self.path, f"part {part} of {self.result_name}"
        with locked(part.lock(path), what):
            settings = self.settings()
            if results.on_disk(path, "evaluation", settings, False):
                return f"{what}: the result is finished"
            defence, stores = self._defence(), self._stores(settings, True)
            evaluate_part(self.plan, defence, stores, part, self._components(defence))
            return f"{what}: its batches are in {path.with_suffix('.partial')}"

    def _check_undivided(self) -> None:
        if self.decompose:
            raise InputError(
                "taking apart is not divided; leave out --decompose, or --part and --merge"
            )

    def _components(self, defence: Defence) -> list[SuiteAttack] | None:
        return None if self.attacks is None else chosen(AttackSet(self.plan, defence), self.attacks)

    def _stores(self, settings: Mapping[str, Any], resume: bool) -> Stores:
        """Where the finished batches of each attack are."""
        place = self.path.with_name(FOLDER if self.decompose else f"{self.path.stem}.partial")
        fixed = lasting(settings, self.computing, self.victim, self.substitute)
        options = {"shared": self.decompose, "merge": self.merge}
        return Stores(place, fixed, self.plan.seed, resume, self.overwrite, **options)

    def _defence(self) -> Defence:
        """Everything the attacks see, including the images to imitate."""
        found = defence_of(self.plan, self.victim, self.substitute, self.dataset.train, self.test)
        target = dataclasses.replace(found.target, indices=self.indices)
        return dataclasses.replace(found, target=target, detectors=self.detectors)

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The data set of the victim."""
        return self.victim.load_data(self.data_dir)

    @functools.cached_property
    def test(self) -> Split:
        """The images attacked."""
        return self.dataset.test.take(self.indices)

    @functools.cached_property
    def indices(self) -> Array:
        """Their indices in the test set, `[N]`."""
        self.dataset.test.first(self.num_images)  # an error where there are fewer
        return test_indices(self.dataset, None, self.image_order)[: self.num_images]

    @functools.cached_property
    def detectors(self) -> dict[str, Detector]:
        """The fitted detectors that apply to the victim."""
        if not self.thresholds:
            return {}
        fitted, _ = guards.read(self.victim, pathlib.Path(self.thresholds))
        names = selection.detector_names(None, guards.has_p_x(self.victim))
        return {name: fitted[name] for name in names if name in fitted}
