"""Can an evaluation be trusted? The checks of Carlini et al. 2019, On Evaluating Robustness.

Each compares two figures. A difference within sampling error is not a finding: the tolerance is
half of the 95% interval for the difference of two shares.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.black_box.random_noise import RandomNoise
from tf_deepbayes.attacks.gradient_checks import ZERO_GRADIENT_WARNING
from tf_deepbayes.attacks.white_box.fgsm import FGSM
from tf_deepbayes.core.metrics import NORMAL_95
from tf_deepbayes.robustness.attack_cache import AttackCache
from tf_deepbayes.robustness.suite import (
    SQUARE,
    SUBSTITUTE,
    VICTIM,
    EvaluationSettings,
    SuiteAttack,
)

PASS, FAIL, NOT_APPLICABLE = "pass", "FAIL", "not applicable"
LARGE_EPS = 1.0  # no bound at all: every image of another class is in the ball
MASKED = "the gradients are masked"
DRIFTS = f"Fewer steps do better: the attack drifts, as {MASKED} or too noisy (raise --eot)."
SMALLER = f"A smaller ball is easier: the steps do not fit the ball, or {MASKED}."


@dataclasses.dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        compared: names of the two figures.
        figures: shares; None if there is none.
        tolerance: allowed difference.
        verdict: "pass", "FAIL" or "not applicable".
        suggests: what a failure suggests, or why there is no verdict; else empty.
    """

    name: str
    compared: tuple[str, str]
    figures: tuple[float | None, float | None]
    tolerance: float | None
    verdict: str
    suggests: str = ""


def tolerance(first: float, second: float, count: int) -> float:
    """Half of the 95% interval of the difference of two shares of `count` images.

    One success and one failure are added to each (Agresti and Caffo 2000), so that shares of 0 and
    1 have sampling error too.
    """
    shares = [(share * count + 1.0) / (count + 2.0) for share in (first, second)]
    return NORMAL_95 * math.sqrt(sum(share * (1.0 - share) for share in shares) / (count + 2.0))


def not_applicable(name: str, compared: tuple[str, str], why: str) -> Check:
    """A comparison that cannot be made."""
    return Check(name, compared, (None, None), None, NOT_APPLICABLE, why)


def at_least(
    name: str,
    compared: tuple[str, str],
    figures: tuple[float | None, float | None],
    count: int,
    suggests: str,
) -> Check:
    """Whether the first share of `count` images is at least the second, up to sampling error."""
    first, second = figures
    if first is None or second is None:
        return not_applicable(name, compared, "no image was right before the attack")
    noise = tolerance(first, second, count)
    failed = second - first > noise
    return Check(name, compared, figures, noise, *((FAIL, suggests) if failed else (PASS, "")))


@dataclasses.dataclass(frozen=True)
class SanityChecks:
    """The checks of one evaluation; attacks already run are not run again.

    Attributes:
        components: the standard set, already run.
        worst_success: success rate of the worst case.
    """

    plan: EvaluationSettings
    runs: AttackCache
    components: Sequence[SuiteAttack]
    worst_success: float | None

    def all(self) -> list[Check]:
        """Every check, in the order of the table."""
        return [
            self._single_step(),
            self._unbounded(),
            *self._eps_ladder(),
            *self._step_ladder(),
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
        return min(self.plan.check_images, len(self.runs.defence.target.labels))

    def compare(
        self,
        name: str,
        first: tuple[str, SuiteAttack],
        second: tuple[str, SuiteAttack],
        suggests: str,
    ) -> Check:
        """`at_least` of two attacks on the first images."""
        rates = [self.runs.success_rate(part, self.count) for _, part in (first, second)]
        right = int(self.runs.defence.target.counted[: self.count].sum())
        return at_least(name, (first[0], second[0]), (rates[0], rates[1]), right, suggests)

    def pgd(self, nb_iter: int | None = None, eps: float | None = None) -> tuple[str, SuiteAttack]:
        """PGD on log odds without EOT, with the plan's eps and steps unless given."""
        eps, steps = eps or self.plan.eps, nb_iter or self.plan.budget.nb_iter
        component = SuiteAttack(f"check_pgd_{steps}_eps{eps:g}", self.plan.pgd(eps, steps), eps)
        return f"PGD-{steps} at {eps:g}", component

    def other(self, label: str, name: str, attack: Attack) -> tuple[str, SuiteAttack]:
        """Another attack on the victim at the plan's eps."""
        return label, SuiteAttack(f"check_{name}", attack, self.plan.eps)

    def _single_step(self) -> Check:
        fgsm = FGSM(loss="log_odds", batch_size=self.plan.batch_size)
        suggests = f"One step fools more images than many: {MASKED} or too noisy (raise --eot)."
        single = self.other("FGSM, same loss", "fgsm", fgsm)
        return self.compare("iterative beats single-step", self.pgd(), single, suggests)

    def _unbounded(self) -> Check:
        label, component = self.pgd(eps=LARGE_EPS)
        rate = self.runs.success_rate(component, self.count)
        right = int(self.runs.defence.target.counted[: self.count].sum())
        suggests = f"Images resist even an unbounded attack: {MASKED}, or its steps are too few."
        return at_least("no bound, no resistance", (label, "all"), (rate, 1.0), right, suggests)

    def _eps_ladder(self) -> Iterator[Check]:
        name, eps = "success rises with eps", self.plan.eps
        yield self.compare(name, self.pgd(), self.pgd(eps=eps / 2.0), SMALLER)
        double = min(2.0 * eps, LARGE_EPS)
        yield self.compare(name, self.pgd(eps=double), self.pgd(), SMALLER)

    def _step_ladder(self) -> Iterator[Check]:
        name, size = "success rises with steps", self.plan.budget.nb_iter
        few, more = self.pgd(max(size // 4, 1)), self.pgd(size * 5 // 2)
        yield self.compare(name, self.pgd(), few, DRIFTS)
        yield self.compare(name, more, self.pgd(), DRIFTS)
        suggests = "More steps fool more images: use a larger --budget before quoting a rate."
        yield self.compare("enough steps", self.pgd(), more, suggests)

    def _black_box(self, name: str, finding: str) -> Check:
        """Compare the strongest attack on the victim's gradients with one that does without."""
        title = f"white-box beats {name}"
        rates = {c.name: self.runs.success_rate(c) for c in self.components}
        if name not in rates:
            return not_applicable(title, ("strongest white-box", name), "no such attack was run")
        blind = {c.name for c in self.components if c.name == SQUARE or c.source == SUBSTITUTE}
        strongest = max((n for n in rates if n not in blind), key=lambda n: rates[n] or 0.0)
        right = int(self.runs.defence.target.counted.sum())
        figures = (rates[strongest], rates[name])
        return at_least(title, (strongest, name), figures, right, f"{finding}: {MASKED}.")

    def _noise(self) -> Check:
        plan, size = self.plan, self.plan.budget.noise_iter
        noise = RandomNoise(nb_iter=size, batch_size=plan.batch_size, seed=plan.seed)
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
        plan = self.plan
        attack = plan.pgd(plan.eps, plan.budget.nb_iter, loss="cross_entropy")
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
        if self.plan.eot == 1 or not samples:
            why = "--eot is 1" if samples else "the classifier does not sample"
            return not_applicable(name, ("averaged gradients", "one draw"), why)
        averaged = f"EOT of {self.plan.eot}", self.plan.restart(0, samples)
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
