"""Can an evaluation be trusted? The checks of Carlini et al. 2019, On Evaluating Robustness.

Most compare two attacks on the same images. A difference that chance explains is not a finding: of
the images that only one of them breaks, the second has to have more than a fair coin would give it
(exact sign test, one side of 95%). Where there is a share alone, the tolerance is half of the 95%
interval for the difference of two shares.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.black_box.random_noise import RandomNoise
from tf_deepbayes.attacks.gradient_checks import ZERO_GRADIENT_WARNING
from tf_deepbayes.attacks.white_box.fgsm import FGSM
from tf_deepbayes.core.axes import Array
from tf_deepbayes.evaluation.scoring import EvaluationSet
from tf_deepbayes.robustness.attack_cache import AttackCache
from tf_deepbayes.robustness.attack_sets import AttackSet
from tf_deepbayes.robustness.comparisons import (
    FAIL,
    PASS,
    Check,
    at_least,
    broken,
    broken_by_any,
    not_applicable,
    paired,
)
from tf_deepbayes.robustness.suite import SQUARE, SUBSTITUTE, VICTIM, SuiteAttack
from tf_deepbayes.robustness.worst_case import Candidate

STEP_FACTOR = 8.0  # a step size that this much changes for the better is wrong
# Queries of the search that is compared with gradients where the set's own had only survivors.
CHECK_QUERIES = 200
MASKED = "the gradients are masked"
DRIFTS = f"Fewer steps do better: the attack drifts, as {MASKED} or too noisy (raise --eot)."
SMALLER = f"A smaller ball is easier: the steps do not fit the ball, or {MASKED}."


@dataclasses.dataclass(frozen=True)
class SanityChecks:
    """The checks of one evaluation; attacks already run are not run again.

    Attributes:
        candidates: the images of every attack that was run.
        worst_success: success rate of the worst case; None: no figure is known.
    """

    attacks: AttackSet
    runs: AttackCache
    candidates: Sequence[Candidate]
    worst_success: float | None

    def all(self) -> list[Check]:
        """Every check, in the order of the table."""
        return [
            self._single_step(),
            self._unbounded(),
            *self._eps_ladder(),
            *self._step_ladder(),
            *self._step_size(),
            self._black_box(SQUARE, "Gradient-free search fools more images than gradients do"),
            self._black_box("transfer", "Gradients of another model fool more images than its own"),
            self._noise(),
            self._zero_gradients(),
            *self._published_loss(),
            self._eot(),
            self._randomness(),
        ]

    @property
    def count(self) -> int:
        """Number of images for attacks that only the checks need."""
        return min(self.attacks.plan.check_images, len(self.runs.defence.target.labels))

    def compare(
        self,
        name: str,
        first: tuple[str, SuiteAttack],
        second: tuple[str, SuiteAttack],
        suggests: str,
    ) -> Check:
        """`paired` of two attacks, on all images that both were run on, or else the first ones."""
        pair = first[1], second[1]
        count = max(self.count, min(self.runs.ran_on(one) for one in pair))
        target, draws = self.runs.defence.target, [self.runs.of(one, count).draws for one in pair]
        return self._paired(name, (first[0], second[0]), target.first(count), draws, suggests)

    def _paired(
        self,
        name: str,
        compared: tuple[str, str],
        target: EvaluationSet,
        draws: Sequence[Array],
        suggests: str,
    ) -> Check:
        if any(found.ndim < 3 for found in draws):  # a part of the batches scores nothing
            return not_applicable(name, compared, "not scored")
        wins = [broken(target.labels, found)[target.counted] for found in draws]
        return paired(name, compared, wins[0], wins[1], suggests)

    def pgd(
        self, nb_iter: int | None = None, eps: float | None = None, reach: float = 1.0
    ) -> tuple[str, SuiteAttack]:
        """PGD on log odds without EOT, with the plan's eps, steps and step size unless given."""
        eps, steps = eps or self.attacks.plan.eps, nb_iter or self.attacks.plan.budget.nb_iter
        factor = "" if reach == 1.0 else f"_{reach:g}"
        name = f"check_pgd_{steps}_eps{eps:g}{factor}"
        component = SuiteAttack(name, self.attacks.pgd(eps, steps, reach=reach), eps)
        return f"PGD-{steps} at {eps:g}" + (factor and f", steps × {reach:g}"), component

    def other(self, label: str, name: str, attack: Attack) -> tuple[str, SuiteAttack]:
        """Another attack on the victim at the plan's eps."""
        return label, SuiteAttack(f"check_{name}", attack, self.attacks.plan.eps)

    def _single_step(self) -> Check:
        plan = self.attacks.plan
        fgsm = FGSM(loss="log_odds", norm=plan.norm, batch_size=plan.batch_size)
        suggests = f"One step fools more images than many: {MASKED} or too noisy (raise --eot)."
        single = self.other("FGSM, same loss", "fgsm", fgsm)
        return self.compare("iterative beats single-step", self.pgd(), single, suggests)

    @property
    def no_bound(self) -> float:
        """A radius that is no bound at all: every image of another class is in the ball."""
        images = self.runs.defence.target.images
        return (
            1.0 if self.attacks.plan.norm == np.inf else float(np.sqrt(np.prod(images.shape[1:])))
        )

    def _unbounded(self) -> Check:
        label, component = self.pgd(eps=self.no_bound)
        rate = self.runs.success_rate(component, self.count)
        right = int(self.runs.defence.target.counted[: self.count].sum())
        suggests = f"Images resist even an unbounded attack: {MASKED}, or its steps are too few."
        return at_least("no bound, no resistance", (label, "all"), (rate, 1.0), right, suggests)

    def _eps_ladder(self) -> Iterator[Check]:
        name, eps = "success rises with eps", self.attacks.plan.eps
        yield self.compare(name, self.pgd(), self.pgd(eps=eps / 2.0), SMALLER)
        double = min(2.0 * eps, self.no_bound)
        yield self.compare(name, self.pgd(eps=double), self.pgd(), SMALLER)

    def _step_ladder(self) -> Iterator[Check]:
        name, size = "success rises with steps", self.attacks.plan.budget.nb_iter
        few, more = self.pgd(max(size // 4, 1)), self.pgd(size * 5 // 2)
        yield self.compare(name, self.pgd(), few, DRIFTS)
        yield self.compare(name, more, self.pgd(), DRIFTS)
        suggests = "More steps fool more images: use a larger --budget before quoting a rate."
        yield self.compare("enough steps", self.pgd(), more, suggests)

    def _step_size(self) -> Iterator[Check]:
        """More steps of a wrong size are as wrong, so the size is varied by itself."""
        for factor in (1.0 / STEP_FACTOR, STEP_FACTOR):
            how = "Shorter" if factor < 1.0 else "Longer"
            suggests = f"{how} steps fool more images: the size of the steps does not fit."
            yield self.compare("the step size fits", self.pgd(), self.pgd(reach=factor), suggests)

    def _black_box(self, name: str, finding: str) -> Check:
        """Compare the attacks on the victim's gradients with one that does without.

        Without noise, an image is broken when any of them breaks it. With noise one of several is
        lucky, so that the strongest alone is compared.
        """
        title, defence = f"white-box beats {name}", self.runs.defence
        target, by_name = defence.target, {c.name: c for c in self.candidates if c.component}
        blind = {n for n, c in by_name.items() if _is_blind(c)}
        own = {n: c.draws for n, c in by_name.items() if n not in blind}
        scored = self.worst_success is not None
        if name not in by_name or not own or not scored:
            return not_applicable(title, ("gradients", name), "no such attack was run")
        rates = {n: broken(target.labels, draws)[target.counted].mean() for n, draws in own.items()}
        strongest = max(rates, key=lambda n: rates[n])
        other, label = by_name[name].draws, name
        component = by_name[name].component
        if component is not None and self.runs.had_survivors_only:  # run again, on all images
            if name == SQUARE:
                component = self.other("", SQUARE, self.attacks.square(CHECK_QUERIES).attack)[1]
                label = f"{SQUARE}, {CHECK_QUERIES} queries"
            other = self.runs.of(component).draws
        draws = (own[strongest], other)
        if not defence.samples:
            any_of = broken_by_any(target.labels, list(own.values()))[target.counted]
            wins = any_of, broken(target.labels, other)[target.counted]
            return paired(title, ("any white-box", label), *wins, f"{finding}: {MASKED}.")
        return self._paired(title, (strongest, label), target, draws, f"{finding}: {MASKED}.")

    def _noise(self) -> Check:
        plan, size = self.attacks.plan, self.attacks.plan.budget.noise_iter
        noise = RandomNoise(
            nb_iter=size, norm=plan.norm, batch_size=plan.batch_size, seed=plan.seed
        )
        other = self.other(f"best of {size} draws of noise", "noise", noise)
        suggests = f"Random noise fools more images than gradients do: {MASKED}."
        return self.compare("gradients beat random noise", self.pgd(), other, suggests)

    def _zero_gradients(self) -> Check:
        own, published = (
            self.runs.zero_gradients(VICTIM, loss) for loss in ("log_odds", "cross_entropy")
        )
        compared = ("zero gradients of log odds", "of cross-entropy")
        suggests = "The loss has no gradient on these images: gradient attacks do not test them."
        failed = own > ZERO_GRADIENT_WARNING
        verdict = (FAIL, suggests) if failed else (PASS, "")
        name = "gradients exist"
        return Check(name, compared, (own, published), ZERO_GRADIENT_WARNING, *verdict)

    def _published_loss(self) -> Iterator[Check]:
        attack = self.attacks.pgd(loss="cross_entropy")
        published = self.other("on cross-entropy", "cross_entropy", attack)
        stable = ("on log odds", self.pgd()[1])
        suggests = "Cross-entropy fools more images than log odds: look for what log odds misses."
        yield self.compare("stable loss is no weaker", stable, published, suggests)
        suggests = (
            "Cross-entropy fools fewer images than log odds: its gradient vanishes where "
            "the classifier is confident, and success rates quoted with it are too low."
        )
        yield self.compare("cross-entropy is not masked", published, stable, suggests)

    def _eot(self) -> Check:
        name, samples = "EOT is no weaker", self.runs.defence.samples
        if self.attacks.plan.eot == 1 or not samples:
            why = "--eot is 1" if samples else "the classifier does not sample"
            return not_applicable(name, ("averaged gradients", "one draw"), why)
        averaged = f"EOT of {self.attacks.plan.eot}", self.attacks.restart(0)
        suggests = "Averaged gradients fool fewer images than single ones: raise --eot."
        return self.compare(name, averaged, ("one draw", self.pgd()[1]), suggests)

    def _randomness(self) -> Check:
        name = "randomness is small"
        compared = ("half the worst case's success", "clean predictions that change")
        target = self.runs.defence.target
        if not self.runs.defence.samples:
            return not_applicable(name, compared, "the classifier does not sample")
        half = None if self.worst_success is None else self.worst_success / 2.0
        figures, right = (half, target.clean_prediction_changes), int(target.counted.sum())
        suggests = (
            "Much of the success may be the classifier's own randomness: use the share fooled "
            "in every draw, or raise --num_samples."
        )
        return at_least(name, compared, figures, right, suggests)


def _is_blind(candidate: Candidate) -> bool:
    """Whether the attack does without the victim's gradient."""
    component = candidate.component
    return component is not None and (component.name == SQUARE or component.source == SUBSTITUTE)
