"""Deep Bayes classifiers: inference, training, attacks, detection.

`import tf_deepbayes as db` imports nothing else: a name is imported when it is first used.
EAGER_IMPORT=1 imports all of them at once (Scientific Python's SPEC 1).
"""

import os
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors: the names of NAMES once more
    from tf_deepbayes import attacks as attacks
    from tf_deepbayes import detection as detectors  # noqa: F401
    from tf_deepbayes import export as export
    from tf_deepbayes import legacy as legacy
    from tf_deepbayes.core.architecture import Architecture as Architecture
    from tf_deepbayes.core.errors import InputError as InputError
    from tf_deepbayes.data.own_data import load_data as load_data
    from tf_deepbayes.inference.sampling import Sampling as Sampling
    from tf_deepbayes.models.baselines import BNN as BNN
    from tf_deepbayes.models.baselines import CNN as CNN
    from tf_deepbayes.models.baselines import MLP as MLP
    from tf_deepbayes.models.factorisations import DBX as DBX
    from tf_deepbayes.models.factorisations import DFX as DFX
    from tf_deepbayes.models.factorisations import DFZ as DFZ
    from tf_deepbayes.models.factorisations import GBY as GBY
    from tf_deepbayes.models.factorisations import GBZ as GBZ
    from tf_deepbayes.models.factorisations import GFY as GFY
    from tf_deepbayes.models.factorisations import GFZ as GFZ
    from tf_deepbayes.robustness.report import Report as Report
    from tf_deepbayes.robustness.report import evaluate as evaluate
    from tf_deepbayes.runs.run import load_model as load_model
    from tf_deepbayes.runs.run import load_run as load_run
    from tf_deepbayes.training.fusion.feature_runs import train_on_features as train_on_features
    from tf_deepbayes.training.new_runs import train as train
    from tf_deepbayes.training.settings import TrainingSettings as TrainingSettings

# Name → "module:attribute", or a module. A sub-package's name is that of the sub-package.
NAMES = {
    "attacks": "attacks",
    "detectors": "detection",
    "evaluate": "robustness.report:evaluate",
    "export": "export",
    "legacy": "legacy",
    "Architecture": "core.architecture:Architecture",
    "Report": "robustness.report:Report",
    "InputError": "core.errors:InputError",
    "Sampling": "inference.sampling:Sampling",
    **{name: f"models.baselines:{name}" for name in ("BNN", "CNN", "MLP")},
    **{
        name: f"models.factorisations:{name}"
        for name in ("DBX", "DFX", "DFZ", "GBY", "GBZ", "GFY", "GFZ")
    },
    "load_data": "data.own_data:load_data",
    "load_model": "runs.run:load_model",
    "load_run": "runs.run:load_run",
    "TrainingSettings": "training.settings:TrainingSettings",
    "train": "training.new_runs:train",
    "train_on_features": "training.fusion.feature_runs:train_on_features",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tf_deepbayes.core.keras_config import check_backend, choose_kernels

    check_backend()
    choose_kernels()
    globals()[name] = found = resolve_name(f"{__name__}.{NAMES[name]}")
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *NAMES})


if os.environ.get("EAGER_IMPORT"):
    for _name in NAMES:
        __getattr__(_name)
