"""A run's robustness taken apart, and the pages and pictures of it."""

import pathlib
from collections.abc import Callable
from typing import Any

from tf_deepbayes.core.files import write_atomically, write_text
from tf_deepbayes.evaluation.runner import AttackResult
from tf_deepbayes.reporting.decomposition_figure import decomposition_figure
from tf_deepbayes.reporting.decomposition_table import scorecard
from tf_deepbayes.robustness.attack_cache import FinishedAttack, OpenStore
from tf_deepbayes.robustness.decomposition.decompose import Subject, decompose
from tf_deepbayes.robustness.decomposition.gradient_audit import in_float64
from tf_deepbayes.robustness.decomposition.sizes import SIZES
from tf_deepbayes.robustness.suite import Defence, EvaluationSettings, ball
from tf_deepbayes.runs.run import Run

SCORECARD, PICTURE = ".md", ".png"


def take_apart(
    victim: Run,
    plan: EvaluationSettings,
    budget: str,
    defence: Defence,
    worst: AttackResult,
    open_store: OpenStore,
    on_done: Callable[[FinishedAttack], None],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """See `decompose`, in the sizes of the budget."""
    sizes = SIZES[budget]
    control = victim.noise_control(sizes.limit_samples)
    has_logits = victim.config.training.get("outputs") == "logits"  # a person's own network
    exact = in_float64(victim.model.model) if has_logits else None
    subject = Subject(plan, defence, worst, control, exact)
    return decompose(subject, sizes, open_store, on_done, say)


def write_pages(path: pathlib.Path, plan: EvaluationSettings, figures: dict[str, Any]) -> None:
    """The scorecard and the picture, beside the result."""
    found, worst = figures["decomposition"], figures["worst_case"]
    picture = decomposition_figure([found])
    write_atomically(path.with_suffix(PICTURE), lambda file: picture.savefig(file, format="png"))
    write_text(path.with_suffix(SCORECARD), scorecard(found, ball(plan.eps, plan.norm), worst))
