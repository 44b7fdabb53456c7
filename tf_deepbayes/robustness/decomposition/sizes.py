"""How much a decomposition computes, and what that costs."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tf_deepbayes.attacks import RandomNoise, Square, losses
from tf_deepbayes.attacks.loss_gradient import compiled_loss_gradient
from tf_deepbayes.evaluation.scoring import EvaluationSet
from tf_deepbayes.robustness.attack_cache import Unscored
from tf_deepbayes.robustness.attack_sets import AttackSet
from tf_deepbayes.robustness.sanity_checks import SanityChecks
from tf_deepbayes.robustness.suite import VICTIM, Defence, SuiteAttack
from tf_deepbayes.robustness.worst_case import Candidate

CURVES = ("steps", "restarts", "eot", "attack_samples", "queries")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of a decomposition; an empty tuple leaves a curve out.

    Attributes:
        steps: of PGD, in the first curve; restarts, eot, attack_samples (K), queries: of the
            others. Each doubles the one before where it can: the verdict is on the last doubling.
        curve_images: images of the curves.
        draws: fresh draws that the worst images are scored on.
        known_draws: seeds of the noise that is known to the attack.
        limit_samples: K of the classifier that stands for K → ∞, where no mixture applies.
        audit_images: images of the gradient audit.
        gradients: draws of each image's gradient there.
    """

    steps: tuple[int, ...]
    restarts: tuple[int, ...]
    eot: tuple[int, ...]
    attack_samples: tuple[int, ...]
    queries: tuple[int, ...]
    curve_images: int
    draws: int
    known_draws: int
    limit_samples: int
    audit_images: int
    gradients: int

    def without_curves(self) -> "Sizes":
        """The same without the budget curves, which are most of the work."""
        none: dict[str, Any] = dict.fromkeys(CURVES, ())
        return dataclasses.replace(self, **none)


SIZES = {
    "quick": Sizes((2, 4, 8), (1, 2), (1, 2), (), (6, 12), 20, 10, 2, 50, 10, 3),
    "standard": Sizes(
        steps=(5, 10, 20, 40, 80, 160),
        restarts=(1, 2, 4, 8),
        eot=(1, 2, 4, 8),
        attack_samples=(1, 10, 100),
        queries=(50, 100, 200, 400),
        curve_images=50,
        draws=100,
        known_draws=2,
        limit_samples=1000,
        audit_images=20,
        gradients=8,
    ),
    "full": Sizes(
        steps=(1, 5, 10, 20, 50, 100, 250, 500, 1000),
        restarts=(1, 2, 5, 10, 20),
        eot=(1, 2, 4, 8, 16, 32, 64),
        attack_samples=(1, 10, 100, 500, 1000),
        queries=(100, 200, 500, 1000, 2500, 5000),
        curve_images=200,
        draws=100,
        known_draws=4,
        limit_samples=1000,
        audit_images=50,
        gradients=16,
    ),
}


@dataclasses.dataclass(frozen=True)
class Cost:
    """The work of one part of a decomposition, over all images.

    Attributes:
        gradients: gradients of an image's loss, in the classifier's own K.
        calls: images classified, in the same unit.
    """

    name: str
    gradients: float
    calls: float


def costs(
    attacks: AttackSet,
    components: Sequence[SuiteAttack],
    sizes: Sizes,
    num_samples: int,
    limit_cost: float,
) -> list[Cost]:
    """What each part costs at most: attacks that two parts share are counted in both.

    Args:
        components: attacks of the standard evaluation.
        num_samples: the classifier's own K, the unit.
        limit_cost: cost of the K → ∞ classifier in that unit.
    """
    plan, samples = attacks.plan, attacks.defence.samples
    images = len(attacks.defence.target.labels)
    few, eot = min(sizes.curve_images, images), plan.eot if samples else 1
    steps = plan.budget.nb_iter
    found = [
        *_of_evaluation(attacks, components),
        Cost("curve of steps", few * eot * sum(sizes.steps), 0),
        Cost("curve of restarts", few * eot * steps * max(sizes.restarts, default=0), 0),
        Cost("curve of queries", 0, few * sum(sizes.queries) * (2 if samples else 1)),
        Cost("PGD on cross-entropy", images * steps, 0),
        Cost("images in fresh draws", 0, images * (3 * sizes.draws if samples else 2)),
    ]
    if samples:
        share = [size / num_samples for size in sizes.attack_samples]
        found += [
            Cost("curve of EOT samples", few * steps * sum(sizes.eot), 0),
            Cost("curve of attack K", few * steps * sum(share), 0),
            Cost("noise that is known", images * steps * sizes.known_draws, 0),
        ]
    found.append(Cost("K to infinity", images * steps * limit_cost, 2 * images * limit_cost))
    audit = min(sizes.audit_images, images)
    return [*found, Cost("gradient audit", audit * sizes.gradients * (2 if samples else 1), 0)]


class CountedAttacks(Unscored):
    """Counts the work of attacks instead of doing it.

    Attributes:
        cost: of all attacks so far.
    """

    def __init__(self, defence: Defence) -> None:
        super().__init__(defence)
        self.cost = Cost("", 0, 0)
        self._audited: set[tuple[str, str]] = set()

    def zero_gradients(self, source: str, loss: str) -> float:
        """Counted once: a gradient of each image."""
        if (source, loss) not in self._audited:
            self._audited.add((source, loss))
            self._add(len(self.defence.target.labels), 0)
        return 0.0

    def _work(self, component: SuiteAttack, target: EvaluationSet) -> None:
        gradients, calls = _of_attack(component.attack)
        self._add(len(target.labels) * gradients, len(target.labels) * calls)

    def _add(self, gradients: float, calls: float) -> None:
        self.cost = Cost("", self.cost.gradients + gradients, self.cost.calls + calls)


def _of_evaluation(attacks: AttackSet, components: Sequence[SuiteAttack]) -> list[Cost]:
    """The standard set, and the attacks that only its checks need."""
    runs, candidates = CountedAttacks(attacks.defence), []
    for one in components:
        found = runs.of(one)
        candidates.append(Candidate(one.name, found.adversarial, found.draws, one))
    own = dataclasses.replace(runs.cost, name="standard set")
    SanityChecks(attacks, runs, candidates, None).all()
    more = runs.cost.gradients - own.gradients, runs.cost.calls - own.calls
    return [own, Cost("attacks of the checks", *more)]


def _of_attack(attack: Any) -> tuple[float, float]:
    """Gradients and calls of one image."""
    work = getattr(attack, "nb_iter", 1)
    if isinstance(attack, Square):
        return 0, work * (1 + (attack.rescore > 0))
    if isinstance(attack, RandomNoise):
        return 0, work
    return work * getattr(attack, "eot", 1) * getattr(attack, "ranks", 1), 0


def seconds_of(defence: Defence) -> tuple[float, float]:
    """Seconds for the gradient and the logits of one image, measured on a traced batch."""
    logits_fn, target = defence.sources[VICTIM].logits, defence.target
    x = tf.constant(target.images[: defence.batch_size])
    y = tf.constant(target.labels[: defence.batch_size])
    gradient = lambda: compiled_loss_gradient(losses.log_odds, logits_fn, x, y)  # noqa: E731
    return _seconds(gradient) / len(x), _seconds(lambda: logits_fn(x)) / len(x)


def _seconds(work: Any) -> float:
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def cost_lines(found: list[Cost], seconds: tuple[float, float]) -> Iterator[str]:
    """A line for each part, and their sum."""
    total = 0.0
    for cost in found:
        spent = cost.gradients * seconds[0] + cost.calls * seconds[1]
        if not spent:
            continue
        total += spent
        yield (
            f"{cost.name:28} {cost.gradients:12,.0f} gradients {cost.calls:12,.0f} calls"
            f"  about {_duration(spent)}"
        )
    yield f"{'all of it, at most':28} {'':46}  about {_duration(total)}"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
