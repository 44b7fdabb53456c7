"""Budget curves: robust accuracy against the work of an attack, and whether more would help."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.metrics import confidence_interval
from tf_deepbayes.robustness.attack_cache import AttackCache
from tf_deepbayes.robustness.attack_sets import AttackSet
from tf_deepbayes.robustness.comparisons import Interval, paired_interval
from tf_deepbayes.robustness.decomposition.sizes import Sizes
from tf_deepbayes.robustness.suite import SuiteAttack
from tf_deepbayes.robustness.worst_case import mean_margin

BOUND = 0.02  # what a last doubling may still take from a curve that is called saturated
SATURATED = "saturated"


@dataclasses.dataclass(frozen=True)
class Curve:
    """Robust accuracy at growing sizes of one part of an attack's budget.

    Attributes:
        name: what grows.
        sizes: its values.
        robust: robust accuracy at each.
        intervals: their 95% Wilson intervals over images.
        drop: what the last doubling took, first − second over the same images.
        verdict: see `verdict`.
        left_out: why there is no curve; else empty.
    """

    name: str
    sizes: tuple[int, ...] = ()
    robust: tuple[float, ...] = ()
    intervals: tuple[tuple[float, float], ...] = ()
    drop: Interval | None = None
    verdict: str = ""
    left_out: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return dataclasses.asdict(self)


def verdict(drop: Interval, bound: float = BOUND) -> str:
    """Whether a curve has ended, by what its last doubling took.

    "saturated" when the interval contains zero and its upper end is below the bound. Otherwise "not
    saturated: at least X more" where the interval lies above zero, X its lower end, and "not shown
    to be saturated: up to X more" where it is too wide to tell. Where it lies below zero, more work
    did worse, which masked or noisy gradients do: "weaker with more: by at least X".
    """
    if drop.high < 0.0:
        return f"weaker with more: by at least {-drop.high:.3f}"
    if drop.low <= 0.0 and drop.high < bound:
        return SATURATED
    if drop.low > 0.0:
        return f"not saturated: at least {drop.low:.3f} more"
    return f"not shown to be saturated: up to {drop.high:.3f} more"


def curve(name: str, sizes: Sequence[int], robust: Sequence[Array]) -> Curve:
    """The curve of each image's chance to stay right, `[N]` at each size."""
    means = tuple(float(one.mean()) for one in robust)
    intervals = tuple(confidence_interval(m, len(robust[0])) or (0.0, 1.0) for m in means)
    drop = paired_interval(robust[-2], robust[-1]) if len(robust) > 1 else None
    said = verdict(drop) if drop else "one size alone has no verdict"
    return Curve(name, tuple(sizes), means, intervals, drop, said)


def worst_so_far(labels: Array, draws: Sequence[Array]) -> Array:
    """The chance that the worst of several attacks misclassifies each image, `[N]`.

    The worst is chosen by its mean margin in all draws but one and scored in that one, for each of
    the draws in turn: of many attacks on a classifier that samples, one is lucky in the draws that
    choose it.

    Args:
        draws: logits of each attack, `[R, N, C]`; with R = 1 there is no luck to keep out.
    """
    count, images = len(draws[0]), np.arange(len(labels))
    wrong = np.stack([found.argmax(-1) != labels for found in draws])
    chances = []
    for draw in range(count):
        others = [i for i in range(count) if i != draw] or [draw]
        margins = np.stack([mean_margin(labels, found[others]) for found in draws])
        chances.append(wrong[margins.argmax(0), draw, images])
    return np.mean(chances, axis=0)


@dataclasses.dataclass(frozen=True)
class Curves:
    """The curves of one evaluation; attacks that were run before are not run again."""

    attacks: AttackSet
    runs: AttackCache
    sizes: Sizes
    source_of: dict[int, str]

    def all(self) -> Iterator[Curve]:
        """Steps, restarts, EOT, attack K, queries."""
        yield self._points("steps", self.sizes.steps, lambda n: self._pgd("steps", n, nb_iter=n))
        yield self._restarts()
        if not self.runs.defence.samples:
            yield Curve("EOT samples", left_out="the classifier does not sample")
            yield Curve("attack K", left_out="the classifier does not sample")
        else:
            yield self._points("EOT samples", self.sizes.eot, lambda n: self._pgd("eot", n, eot=n))
            yield self._points("attack K", tuple(self.source_of), self._with_samples)
        yield self._points("queries", self.sizes.queries, self._square)

    @property
    def count(self) -> int:
        """Number of images."""
        return min(self.sizes.curve_images, len(self.runs.defence.target.labels))

    def _points(self, name: str, sizes: Sequence[int], make: Any) -> Curve:
        if not sizes:
            return Curve(name, left_out="not in this budget")
        return curve(name, sizes, [self._robust([make(size)]) for size in sizes])

    def _robust(self, components: Sequence[SuiteAttack]) -> Array:
        """Each image's chance to be right before and after the worst of the attacks, `[N]`."""
        target = self.runs.defence.target.first(self.count)
        draws = [self.runs.of(component, self.count).draws for component in components]
        return target.counted * (1.0 - worst_so_far(target.labels, draws))

    def _restarts(self) -> Curve:
        sizes = self.sizes.restarts
        if not sizes:
            return Curve("restarts", left_out="not in this budget")
        starts = [self.attacks.restart(i) for i in range(max(sizes))]
        return curve("restarts", sizes, [self._robust(starts[:size]) for size in sizes])

    def _pgd(self, name: str, size: int, **options: int) -> SuiteAttack:
        eot = self.attacks.plan.eot if self.runs.defence.samples else 1
        attack = self.attacks.pgd(**({"eot": eot} | options))  # type: ignore[arg-type]
        return SuiteAttack(f"curve_{name}_{size}", attack, self.attacks.plan.eps)

    def _with_samples(self, size: int) -> SuiteAttack:
        component = self._pgd("samples", size, eot=1)
        lazy = dataclasses.replace(component.attack, lazy_classes=0)  # type: ignore[call-arg]
        return dataclasses.replace(component, attack=lazy, source=self.source_of[size])

    def _square(self, size: int) -> SuiteAttack:
        return dataclasses.replace(self.attacks.square(size), name=f"curve_queries_{size}")
