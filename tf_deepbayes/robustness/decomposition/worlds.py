"""The worlds of a decomposition, computed: who attacks with what, and who is asked afterwards."""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from tf_deepbayes.core.axes import Array, LogitsFn
from tf_deepbayes.evaluation.runner import SCORING, AttackResult
from tf_deepbayes.evaluation.scoring import draw_logits
from tf_deepbayes.robustness.attack_cache import AttackCache
from tf_deepbayes.robustness.attack_sets import AttackSet
from tf_deepbayes.robustness.decomposition.noise_control import NoiseControl
from tf_deepbayes.robustness.decomposition.shares import World
from tf_deepbayes.robustness.decomposition.sizes import Sizes
from tf_deepbayes.robustness.suite import SuiteAttack

DRAWS = SCORING - 2  # noise number for the fresh draws of a decomposition
KNOWN, LIMIT = "known_{}", "limit"


@dataclasses.dataclass(frozen=True)
class Worlds:
    """The worlds of one evaluation.

    Attributes:
        noise: the classifier with its noise in the hand; its sources are those of the defence.
        worst: the images of the standard evaluation, the worst of each.
    """

    attacks: AttackSet
    runs: AttackCache
    noise: NoiseControl
    sizes: Sizes
    worst: AttackResult

    def all(self) -> Iterator[World]:
        """In the order of `shares.PARTS`; without noise, those that noise makes are left out."""
        target, samples = self.runs.defence.target, self.runs.defence.samples
        yield World.of("clean error", self.limit_predictions[None] != target.labels)
        if samples:
            yield World.of("noise alone", self._wrong(self.fresh(target.images)))
        published = self.runs.of(self._published())
        yield World.of("broken", self._wrong(self.fresh(published.adversarial)))
        if samples:
            if self.noise.known is not None:
                yield World.of("known noise", self._with_known_noise())
            yield World.of("many samples", self._in_the_limit()[None])
        yield World.of("adaptive", self._wrong(self.worst_draws))

    @functools.cached_property
    def limit_predictions(self) -> Array:
        """Classes of the clean images for K → ∞, `[N]`."""
        return self._predicted(self.noise.limit, self.runs.defence.target.images)

    @functools.cached_property
    def worst_draws(self) -> Array:
        """Logits of the worst images in fresh draws, `[R, N, C]`."""
        return self.fresh(self.worst.adversarial)

    def fresh(self, images: Array) -> Array:
        """Logits in fresh draws, `[R, N, C]`."""
        defence = self.runs.defence
        draws = self.sizes.draws if defence.samples else 1
        defence.reseed(DRAWS)
        return draw_logits(defence.target.logits_fn, images, draws, defence.batch_size)

    def _wrong(self, draws: Array) -> Array:
        return draws.argmax(-1) != self.runs.defence.target.labels

    def _predicted(self, logits_fn: LogitsFn, images: Array) -> Array:
        defence = self.runs.defence
        defence.reseed(DRAWS)
        return draw_logits(logits_fn, images, 1, defence.batch_size)[0].argmax(-1)

    def _published(self, source: str | None = None) -> SuiteAttack:
        """PGD on the published loss, with the budget's steps."""
        plan = self.attacks.plan
        attack = self.attacks.pgd(loss="cross_entropy", lazy_classes=0)
        name = "cross_entropy" if source is None else f"cross_entropy_{source}"
        component = SuiteAttack(name, attack, plan.eps)
        return component if source is None else dataclasses.replace(component, source=source)

    def _with_known_noise(self) -> Array:
        """Wrong with the noise that the attack knew, `[S, N]`, a row for each seed."""
        labels, rows = self.runs.defence.target.labels, []
        for seed in range(self.sizes.known_draws):
            source = KNOWN.format(seed)
            images = self.runs.of(self._published(source)).adversarial
            logits_fn = self.runs.defence.sources[source].logits
            rows.append(self._predicted(logits_fn, images) != labels)
        return np.stack(rows)

    def _in_the_limit(self) -> Array:
        """Wrong for K → ∞ when attacked there, `[N]`."""
        images = self.runs.of(self._published(LIMIT)).adversarial
        return self._predicted(self.noise.limit, images) != self.runs.defence.target.labels
