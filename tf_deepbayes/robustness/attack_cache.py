"""The attacks of one evaluation, each run only once, however many figures need it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tf_deepbayes.attacks import losses
from tf_deepbayes.attacks.gradient_checks import zero_gradients
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.metrics import confidence_interval
from tf_deepbayes.evaluation.batch_store import BatchStore
from tf_deepbayes.evaluation.parts import Part
from tf_deepbayes.evaluation.runner import AttackResult, run, run_part
from tf_deepbayes.evaluation.scoring import EvaluationSet, score
from tf_deepbayes.evaluation.workers import Worker
from tf_deepbayes.robustness.comparisons import broken
from tf_deepbayes.robustness.suite import Defence, SuiteAttack
from tf_deepbayes.robustness.worst_case import check_in_ball, with_robust_accuracy

OpenStore = Callable[[SuiteAttack], BatchStore | None]


@dataclasses.dataclass(frozen=True)
class FinishedAttack:
    """An attack that was run on the first `count` images, or on `rows` alone.

    Attributes:
        outcome: where `rows` are given, all other images are unperturbed in it.
        rows: the images attacked; None: the first `count`.
    """

    component: SuiteAttack
    count: int
    outcome: AttackResult
    rows: Array | None = None

    def row(self) -> dict[str, Any]:
        """Its entry in a result file."""
        settings = {"attack": self.component.attack.settings(), "source": self.component.source}
        return (
            {"name": self.component.name, "eps": self.component.eps}
            | settings
            | (self.outcome.figures)
        )


class AttackCache:
    """Runs the attacks of an evaluation and remembers them.

    Args:
        open_store: where the finished batches of an attack are kept.
        on_done: called with each attack when it is finished.
        finished: attacks on the same images that were run before.
    """

    def __init__(
        self,
        defence: Defence,
        open_store: OpenStore = lambda component: None,
        on_done: Callable[[FinishedAttack], None] = lambda finished: None,
        finished: Sequence[FinishedAttack] = (),
    ) -> None:
        self.defence, self.open_store, self.on_done = defence, open_store, on_done
        self.finished = list(finished)
        self._zero_shares: dict[tuple[str, str], float] = {}

    def of(self, component: SuiteAttack, count: int | None = None) -> AttackResult:
        """The attack on the first `count` images (all when None), run if not run before."""
        count = len(self.defence.target.labels) if count is None else count
        for found in self.finished:
            if found.rows is None and _same(found.component, component) and found.count >= count:
                return self._first(found.outcome, count)
        made = FinishedAttack(
            component, count, self._run(component, self.defence.target.first(count))
        )
        return self._remember(made)

    def on(self, component: SuiteAttack, rows: Array) -> AttackResult:
        """The attack on these images alone, which no earlier attack broke and all others did.

        Its robust accuracy is therefore that of all attacks so far.
        """
        target = self.defence.target
        found = self._run(component, target.take(rows))
        images, logits = target.images.copy(), np.stack([target.clean_logits] * len(found.draws))
        images[rows], logits[:, rows] = found.adversarial, found.draws
        left = float(np.sum(~broken(target.labels[rows], found.draws))) / len(target.labels)
        figures = found.figures | {
            "attacked": len(rows),
            "robust_accuracy": left,
            "robust_accuracy_interval": confidence_interval(left, len(target.labels)),
        }
        whole = AttackResult(images, logits, figures)
        return self._remember(FinishedAttack(component, len(images), whole, rows))

    def ran_on(self, component: SuiteAttack) -> int:
        """The number of first images that the attack has been run on so far."""
        same = [f.count for f in self.finished if f.rows is None and _same(f.component, component)]
        return max(same, default=0)

    @property
    def had_survivors_only(self) -> bool:
        """Whether attacks were run on the images that others left."""
        return any(found.rows is not None for found in self.finished)

    def _remember(self, made: FinishedAttack) -> AttackResult:
        self.finished.append(made)
        self.on_done(made)
        return made.outcome

    def success_rate(self, component: SuiteAttack, count: int | None = None) -> float | None:
        """The success rate of the attack on the first `count` images."""
        return self.of(component, count).figures["success_rate"]

    def zero_gradients(self, source: str, loss: str) -> float:
        """Share of all images where the gradient of the loss is exactly zero."""
        key = (source, loss)
        if key not in self._zero_shares:
            target, logits_fn = self.defence.target, self.defence.sources[source].logits
            size, loss_fn = self.defence.batch_size, losses.get(loss)
            zero = zero_gradients(logits_fn, target.images, target.labels, size, loss_fn)
            self._zero_shares[key] = float(np.mean(zero))
        return self._zero_shares[key]

    def _run(self, component: SuiteAttack, target: EvaluationSet) -> AttackResult:
        defence = self.defence
        loss = getattr(component.attack, "loss", "cross_entropy")
        zero = self.zero_gradients(component.source, loss)
        access, store = defence.sources[component.source], self.open_store(component)
        outcome = run(component.attack, access, target, component.eps, store, defence.reseed, zero)
        check_in_ball(component, target.images, outcome.adversarial, defence.norm)
        figures = with_robust_accuracy(target, outcome.figures)
        return dataclasses.replace(outcome, figures=figures)

    def _first(self, outcome: AttackResult, count: int) -> AttackResult:
        """What the attack on the first `count` images alone would have given."""
        if count == len(outcome.adversarial):
            return outcome
        target = self.defence.target.first(count)
        images, draws = outcome.adversarial[:count], outcome.draws[:, :count]
        figures = with_robust_accuracy(target, score(target, images, draws))
        return AttackResult(images, draws, figures)


class Unscored(AttackCache):
    """Scores nothing, so that no figure is known: of an attack there are only the clean images."""

    def zero_gradients(self, source: str, loss: str) -> float:
        """Not computed."""
        return 0.0

    def _run(self, component: SuiteAttack, target: EvaluationSet) -> AttackResult:
        self._work(component, target)
        return AttackResult(target.images, np.zeros([0]), {"success_rate": None})

    def _work(self, component: SuiteAttack, target: EvaluationSet) -> None:
        """What is done instead of the attack."""
        raise NotImplementedError

    def _first(self, outcome: AttackResult, count: int) -> AttackResult:
        return outcome


class PartOfAttacks(Unscored):
    """Does a part of each attack's batches, and leaves the rest to the merge.

    Args:
        part: which of the batches.
    """

    def __init__(
        self,
        defence: Defence,
        open_store: OpenStore,
        on_done: Callable[[FinishedAttack], None],
        part: Part,
    ) -> None:
        super().__init__(defence, open_store, on_done)
        self.part = part

    def _work(self, component: SuiteAttack, target: EvaluationSet) -> None:
        access = self.defence.sources[component.source]
        store = self.open_store(component)
        if store is None:
            raise ValueError("a part needs a store, where the merge finds its batches")
        workers = [Worker(access, target.logits_fn, self.defence.reseed)]
        labels = target.attack_labels
        attack, eps = component.attack, component.eps
        run_part(attack, workers, target.images, labels, eps, store, self.part)


def _same(first: SuiteAttack, second: SuiteAttack) -> bool:
    """Whether they are the same attack, whatever their names."""
    parts = ("attack", "eps", "source")
    return all(getattr(first, part) == getattr(second, part) for part in parts)
