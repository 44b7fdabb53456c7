"""The standard sets of attacks of a robustness evaluation, sized by a budget.

Strong gradient attacks with losses whose gradients do not vanish, a gradient-free search, and
attacks adapted to the classifier, because a defence is only as strong as its weakest spot (Carlini
et al. 2019; Tramèr et al. 2020).

A classifier that samples is attacked with averaged gradients, with momentum, by every sample. One
that does not is attacked with declining steps and towards each of the likeliest other classes,
which is what breaks the last images of a robust network.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tf_deepbayes import attacks as attack_table
from tf_deepbayes.attacks import ATTACKS
from tf_deepbayes.attacks.access import LazyLogits
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.black_box.square import Square
from tf_deepbayes.attacks.white_box.bounded import Bounded
from tf_deepbayes.attacks.white_box.carlini_wagner import CarliniWagnerL2
from tf_deepbayes.attacks.white_box.matching import LogitMatching
from tf_deepbayes.attacks.white_box.pgd import LINEAR, MIM, PGD
from tf_deepbayes.attacks.white_box.ranked import RankedPGD
from tf_deepbayes.attacks.white_box.superwhite import Superwhite
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.detection.detectors import Detector
from tf_deepbayes.robustness.suite import (
    LABEL_ONLY,
    SQUARE,
    SUBSTITUTE,
    VICTIM,
    Defence,
    EvaluationSettings,
    SuiteAttack,
)

# Constant steps of 2.5 eps / nb_iter reach every point of the ball from any other, and overshoot
# little (Mądry et al. 2018).
REACH = 2.5
# Declining steps begin with the width of the ball: 1, 2 or 4 eps break as many.
FIRST_STEP = 2.0
# Weight of the logits in the Carlini-Wagner attack: the ball bounds the perturbation, not c.
CW_C, CW_LEARNING_RATE = 10.0, 0.05
OF_A_SET = re.compile(r"pgd_(log_odds_\d{1,3}|margin)|superwhite_\w{1,20}|label_only|transfer")
NOT_IN_BUDGET = "not in this budget"


def check_names(given: Sequence[str]) -> None:
    """InputError unless each is an attack of some budget's set or one of `attacks.ATTACKS`."""
    if not given:
        raise InputError("expected at least one attack; leave attacks out for the budget's set")
    for name in given:
        if not OF_A_SET.fullmatch(name):
            attack_table.fields(name)  # which says what there is


def chosen(attacks: "AttackSet", given: Sequence[str | Attack]) -> list[SuiteAttack]:
    """The attacks asked for, each with a name of its own.

    Args:
        given: attacks, names of attacks of the set, or names of `attacks.ATTACKS`, which are built
            with their published settings and the norm of the evaluation.

    Raises:
        InputError: none is given, or a name is unknown.
    """
    names = [one for one in given if isinstance(one, str)]
    if names or not given:
        check_names(names)
    of_set = {component.name: component for component in attacks.all()[0]}
    plan, found = attacks.plan, dict[str, SuiteAttack]()
    for one in given:
        if isinstance(one, str) and one in of_set and one not in ATTACKS:
            found[one] = of_set[one]
            continue
        if isinstance(one, str):
            options = {} if plan.norm == np.inf else {"norm": plan.norm}
            one = attack_table.build(one, **options)
        stem = one.name or type(one).__name__
        count = sum(name.split("_#")[0] == stem for name in found)
        name = stem if not count else f"{stem}_#{count + 1}"
        found[name] = SuiteAttack(name, one, plan.eps, given=True)
    return list(found.values())


@dataclasses.dataclass(frozen=True)
class AttackSet:
    """The attacks of a plan on a classifier."""

    plan: EvaluationSettings
    defence: Defence

    def pgd(
        self,
        eps: float | None = None,
        nb_iter: int | None = None,
        kind: type[PGD] = PGD,
        reach: float = 1.0,
        **options: Any,
    ) -> PGD:
        """PGD on log odds from a random start, with steps that fit the ball.

        Args:
            eps: radius of the ball, the plan's when None.
            nb_iter: steps, the budget's when None.
            reach: factor of the usual step size.
        """
        plan = self.plan
        eps, steps = eps or plan.eps, nb_iter or plan.budget.nb_iter
        chosen: dict[str, Any] = {"seed": plan.seed, "norm": plan.norm}
        if kind is not RankedPGD:  # it has a loss of its own
            chosen["loss"] = "log_odds"
        if kind is PGD:  # the others use every sample or distances, not only logits
            chosen["lazy_classes"] = plan.lazy_classes
        if self.defence.samples:
            chosen["eps_iter"] = reach * (REACH * eps / steps)
        else:
            chosen |= {"eps_iter": reach * FIRST_STEP * eps, "schedule": LINEAR}
        return kind(nb_iter=steps, batch_size=plan.batch_size, **(chosen | options))

    def restart(self, number: int) -> SuiteAttack:
        """The main attack from random start `number`."""
        eot = self.plan.eot if self.defence.samples else 1
        attack = self.pgd(eot=eot, seed=self.plan.seed + number)
        return SuiteAttack(f"pgd_log_odds_{number}", attack, self.plan.eps)

    def square(self, queries: int | None = None) -> SuiteAttack:
        """The gradient-free search; the budget's number of queries when None."""
        plan, budget = self.plan, self.plan.budget
        options: dict[str, Any] = {"norm": plan.norm, "seed": plan.seed}
        if self.defence.samples:
            size = queries or budget.square_iter
        else:  # scoring a better image again finds nothing new
            size, options["rescore"] = queries or budget.network_queries or budget.square_iter, 0
        attack = Square(nb_iter=size, batch_size=plan.batch_size, **options)
        return SuiteAttack(SQUARE, attack, plan.eps)

    def all(self) -> tuple[list[SuiteAttack], dict[str, str]]:
        """The attacks that apply, and {name: reason} for those left out."""
        restarts = [self.restart(i) for i in range(self.plan.budget.restarts)]
        found = dict(self._others())
        components = [c for c in found.values() if isinstance(c, SuiteAttack)]
        return restarts + components, {n: c for n, c in found.items() if isinstance(c, str)}

    def or_all(
        self, components: Sequence[SuiteAttack] | None
    ) -> tuple[Sequence[SuiteAttack], dict[str, str]]:
        """The attacks asked for; None: `all`."""
        return self.all() if components is None else (components, {})

    def _others(self) -> Iterator[tuple[str, SuiteAttack | str]]:
        """(name, the component or the reason it is left out)."""
        yield "margin", self._margin()
        if self.defence.samples:
            yield "mim", self._mim()
            yield "cw", self._cw()
        else:
            yield "ranked", self._ranked()
        yield SQUARE, self.square()
        yield "superwhite", self._snapshot()
        for name, detector in self.defence.detectors.items():
            yield f"superwhite_{name}", self._past(name, detector)
        yield LABEL_ONLY, self._label_only()
        yield "matching", self._matching()
        yield "transfer", self._transfer()

    def _margin(self) -> SuiteAttack | str:
        num_classes = self.defence.target.clean_logits.shape[1]
        if not self.defence.samples and self.plan.budget.ranks >= num_classes - 1:
            return "ranked attacks every class"
        return SuiteAttack("pgd_margin", self.pgd(loss="margin"), self.plan.eps)

    def _ranked(self) -> SuiteAttack | str:
        if not self.plan.budget.ranks:
            return NOT_IN_BUDGET
        attack = self.pgd(kind=RankedPGD, ranks=self.plan.budget.ranks)
        return SuiteAttack("ranked", attack, self.plan.eps)

    def _mim(self) -> SuiteAttack | str:
        plan, size = self.plan, self.plan.budget.momentum_iter
        if not size:
            return NOT_IN_BUDGET
        attack = MIM(
            nb_iter=size,
            eps_iter=REACH * plan.eps / size,
            loss="log_odds",
            norm=plan.norm,
            batch_size=plan.batch_size,
            lazy_classes=plan.lazy_classes,
        )
        return SuiteAttack("mim", attack, plan.eps)

    def _cw(self) -> SuiteAttack | str:
        plan, size = self.plan, self.plan.budget.cw_iter
        if not size:
            return NOT_IN_BUDGET
        inside = CarliniWagnerL2(
            nb_iter=size,
            learning_rate=CW_LEARNING_RATE,
            batch_size=plan.batch_size,
            lazy_classes=plan.lazy_classes,
        )
        held = Bounded(attack=inside, size=CW_C, norm=plan.norm, batch_size=plan.batch_size)
        return SuiteAttack("cw", held, plan.eps)

    def _snapshot(self) -> SuiteAttack | str:
        if self.defence.sources[VICTIM].log_weights is None or not self.defence.samples:
            return "the classifier does not sample"
        if not self.plan.budget.snapshot:
            return NOT_IN_BUDGET
        attack = self.pgd(kind=Superwhite, snapshot=True)
        return SuiteAttack("superwhite", attack, self.plan.eps)

    def _past(self, name: str, detector: Detector) -> SuiteAttack | str:
        if self.defence.sources[VICTIM].log_weights is None:
            return "the classifier gives no log weights"
        options: dict[str, Any] = {"snapshot": self.defence.samples, "detector": detector}
        attack = self.pgd(kind=Superwhite, **options)
        return SuiteAttack(f"superwhite_{name}", attack, self.plan.eps)

    def _label_only(self) -> SuiteAttack | str:
        if LABEL_ONLY not in self.defence.sources:
            return "the classifier has no factor p(y|·)"
        return SuiteAttack(LABEL_ONLY, self.restart(0).attack, self.plan.eps, LABEL_ONLY)

    def _matching(self) -> SuiteAttack | str:
        guides = self.defence.guides
        if not self.plan.budget.pool_size:
            return NOT_IN_BUDGET
        if guides is None or len(set(guides.labels.tolist())) < 2:
            return "no images of two classes to imitate"
        attack = self.pgd(kind=LogitMatching, guides=guides)
        return SuiteAttack("matching", attack, self.plan.eps)

    def _transfer(self) -> SuiteAttack | str:
        if SUBSTITUTE not in self.defence.sources:
            return "no substitute given"
        lazy = isinstance(self.defence.sources[SUBSTITUTE].logits, LazyLogits)
        options: dict[str, Any] = {} if lazy else {"lazy_classes": 0}
        return SuiteAttack("transfer", self.pgd(**options), self.plan.eps, SUBSTITUTE)
