"""A run's robustness taken apart, and the pages and pictures of it."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tf_deepbayes.core.files import write_atomically, write_text
from tf_deepbayes.evaluation.runner import AttackResult
from tf_deepbayes.reporting.decomposition.figure import decomposition_figure
from tf_deepbayes.reporting.decomposition.scorecard import scorecard
from tf_deepbayes.robustness.attack_cache import FinishedAttack, OpenStore
from tf_deepbayes.robustness.decomposition.decompose import Subject, announced, decompose
from tf_deepbayes.robustness.decomposition.gradient_audit import in_float64
from tf_deepbayes.robustness.decomposition.sizes import Sizes
from tf_deepbayes.robustness.suite import Defence, EvaluationSettings, SuiteAttack, ball
from tf_deepbayes.runs.run import Run

SCORECARD, PICTURE = ".md", ".png"


@dataclasses.dataclass(frozen=True)
class TakenApart:
    """The robustness of a run in parts, in sizes such as those of a budget."""

    victim: Run
    plan: EvaluationSettings
    sizes: Sizes
    defence: Defence
    components: Sequence[SuiteAttack] | None = None

    def costs(self) -> Iterator[str]:
        """Lines on what it will cost, the standard evaluation included."""
        return announced(self._subject, self.sizes)

    def figures(
        self,
        worst: AttackResult,
        open_store: OpenStore,
        on_done: Callable[[FinishedAttack], None],
        finished: Sequence[FinishedAttack],
    ) -> dict[str, Any]:
        """See `decompose`; `worst` are the images of the standard evaluation."""
        return decompose(self._subject, worst, self.sizes, open_store, on_done, finished)

    @functools.cached_property
    def _subject(self) -> Subject:
        control = self.victim.noise_control(self.sizes.limit_samples)
        has_logits = self.victim.config.training.get("outputs") == "logits"  # one's own network
        exact = in_float64(self.victim.model.model) if has_logits else None
        return Subject(self.plan, self.defence, control, exact, self.components)


def write_pages(path: pathlib.Path, plan: EvaluationSettings, figures: dict[str, Any]) -> None:
    """The scorecard and the picture, beside the result."""
    found, worst = figures["decomposition"], figures["worst_case"]
    picture = decomposition_figure([found])
    write_atomically(path.with_suffix(PICTURE), lambda file: picture.savefig(file, format="png"))
    write_text(path.with_suffix(SCORECARD), scorecard(found, ball(plan.eps, plan.norm), worst))
