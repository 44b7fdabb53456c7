"""Names of evaluations: the size, the budget, and every setting that is not the default."""

from collections.abc import Sequence

import numpy as np

from tf_deepbayes.attacks.base import number_text
from tf_deepbayes.evaluation.result_names import joined, parts_of
from tf_deepbayes.robustness.suite import EvaluationSettings
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.identity import sampling_parts


def result_name(
    plan: EvaluationSettings, budget: str, victim: Run, extra: Sequence[str] = ()
) -> str:
    """Such as eps0.10_standard, and l2_eps1.00_full_eot4_K20.

    Args:
        extra: what else is not the default, as parts of the name.
    """
    defaults = EvaluationSettings(plan.budget, plan.eps, norm=plan.norm)
    names = ("eot", "lazy_classes")
    parts = parts_of(*({n: getattr(of, n) for n in names} for of in (plan, defaults)))
    norm = None if plan.norm == np.inf else "l2"
    size = f"eps{number_text(plan.eps, 2)}"
    return joined(norm, size, budget, *parts, *sampling_parts(victim), *extra)
