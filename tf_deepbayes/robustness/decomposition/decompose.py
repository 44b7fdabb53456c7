"""Takes an evaluation apart: curves, parts, resubmission, gradients, detectors."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.evaluation.runner import AttackResult
from tf_deepbayes.robustness.attack_cache import AttackCache, FinishedAttack, OpenStore
from tf_deepbayes.robustness.attack_sets import AttackSet
from tf_deepbayes.robustness.decomposition import gradient_audit
from tf_deepbayes.robustness.decomposition.curves import Curves
from tf_deepbayes.robustness.decomposition.detector_matrix import detector_matrix
from tf_deepbayes.robustness.decomposition.noise_control import NoiseControl
from tf_deepbayes.robustness.decomposition.resubmission import resubmission
from tf_deepbayes.robustness.decomposition.shares import decomposition
from tf_deepbayes.robustness.decomposition.sizes import Sizes, cost_lines, costs, seconds_of
from tf_deepbayes.robustness.decomposition.worlds import KNOWN, LIMIT, Worlds
from tf_deepbayes.robustness.suite import VICTIM, Defence, EvaluationSettings, SuiteAttack


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is taken apart.

    Attributes:
        plan: of the standard evaluation.
        noise: how the noise is controlled; None: as of any classifier.
        exact: the classifier in float64, if there is one.
        components: attacks of the standard evaluation; None: the whole set of its budget.
    """

    plan: EvaluationSettings
    defence: Defence
    noise: NoiseControl | None = None
    exact: Any = None
    components: Sequence[SuiteAttack] | None = None

    @property
    def control(self) -> NoiseControl:
        """The control of the noise; a classifier that does not sample has none to control."""
        access = self.defence.sources[VICTIM]
        if not self.defence.samples:
            return NoiseControl.of_deterministic(access.logits)
        return self.noise or NoiseControl.of(access)


def announced(subject: Subject, sizes: Sizes) -> Iterator[str]:
    """Lines on what the standard evaluation and its decomposition will cost at most."""
    control, attacks = subject.control, AttackSet(subject.plan, subject.defence)
    components, _ = attacks.or_all(subject.components)
    found = costs(attacks, components, sizes, control.num_samples, control.limit_cost)
    return cost_lines(found, seconds_of(subject.defence))


def decompose(
    subject: Subject,
    worst: AttackResult,
    sizes: Sizes,
    open_store: OpenStore = lambda component: None,
    on_done: Callable[[FinishedAttack], None] = lambda finished: None,
    finished: Sequence[FinishedAttack] = (),
) -> dict[str, Any]:
    """Every part of the robustness found, as JSON can hold it.

    Args:
        worst: images of the standard evaluation, the worst of each.
        open_store: where finished batches are kept; those of an earlier run with other sizes serve
            again wherever the attack is the same.
        on_done: called with each attack when it is finished.
        finished: attacks of the standard evaluation, which are not run again.

    Returns:
        `decomposition` (see `shares.decomposition`), `curves`, `resubmission`, `audit`,
        `detectors`, and `noise`, which says what stood for K → ∞ and for known noise.
    """
    control = subject.control
    ks = {k: f"samples_{k}" for k in sizes.attack_samples if subject.defence.samples}
    defence = _with_sources(subject.defence, control, sizes, ks)
    attacks = AttackSet(subject.plan, defence)
    runs = AttackCache(defence, open_store, on_done, finished)
    worlds = Worlds(attacks, runs, control, sizes, worst)
    target = defence.target
    parts = decomposition(list(worlds.all()), target.labels, worlds.limit_predictions)
    found = {
        "eps": subject.plan.eps,
        "decomposition": parts,
        "curves": [one.to_dict() for one in Curves(attacks, runs, sizes, ks).all()],
        "resubmission": resubmission(target.labels, worlds.worst_draws, target.counted),
        "audit": _audit(subject, defence, control, sizes, ks),
        "noise": {
            "samples": defence.samples,
            "num_samples": control.num_samples,
            "limit": control.limit_of,
            "known": control.known is not None,
        },
    }
    attacked = {"worst case": worlds.worst_draws[0]}
    for component in attacks.or_all(subject.components)[0] if defence.detectors else ():
        attacked[component.name] = runs.of(component).draws[0]
    clean = target.clean_logits
    return found | {"detectors": detector_matrix(defence.detectors, clean, target.labels, attacked)}


def _with_sources(
    defence: Defence, control: NoiseControl, sizes: Sizes, ks: dict[int, str]
) -> Defence:
    """The defence with classifiers of other numbers of draws, known noise, and K → ∞."""
    sources = dict(defence.sources)
    if defence.samples:
        sources |= {name: control.with_samples(k) for k, name in ks.items()}
        sources[LIMIT] = ModelAccess(control.limit)
        known = control.known
        seeds = range(sizes.known_draws if known else 0)
        sources |= {KNOWN.format(s): ModelAccess(known(s)) for s in seeds}  # type: ignore[misc]
    return dataclasses.replace(defence, sources=sources)


def _audit(
    subject: Subject, defence: Defence, control: NoiseControl, sizes: Sizes, ks: dict[int, str]
) -> dict[str, Any]:
    """Zero gradients, derivatives against differences, cosines between draws."""
    few = defence.target.first(sizes.audit_images)
    x, y = few.images, few.labels.astype(np.int64)
    zero = {
        loss: AttackCache(defence).zero_gradients(VICTIM, loss)
        for loss in ("cross_entropy", "log_odds")
    }
    audit: dict[str, Any] = {"zero_gradients": zero, "derivatives": None, "cosines": []}
    if control.known is not None:
        steady = defence.sources.get(KNOWN.format(0), defence.sources[VICTIM]).logits
        exact = None if defence.samples else subject.exact
        audit["derivatives"] = gradient_audit.directional_derivatives(steady, x, y, exact)
    if defence.samples:
        sources = {control.num_samples: defence.sources[VICTIM].logits}
        sources |= {k: defence.sources[name].logits for k, name in ks.items()}
        audit["cosines"] = gradient_audit.of_noise(sources, x, y, sizes.gradients)
    return audit
