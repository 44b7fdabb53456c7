"""Where an evaluation keeps the finished batches of its attacks."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_deepbayes.core.files import digest
from tf_deepbayes.evaluation.batch_store import BatchStore
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.robustness.suite import SuiteAttack
from tf_deepbayes.runs.run import Run

FOLDER = "finished_attacks"
# What the attacked images depend on, apart from the attack.
LASTING = ("num_samples", "noise", "weights", "mode", "substitute_weights", "version")


def lasting(
    settings: Mapping[str, Any],
    computing: Mapping[str, bool],
    victim: Run,
    substitute: Run | None,
) -> dict[str, Any]:
    """What the batches of an evaluation depend on, apart from the attack and its seed.

    What was not always said is said only where it is not the default, so that the batches of
    earlier evaluations are found again.

    Args:
        settings: of the evaluation's result.
        computing: precision settings in use.
        substitute: a run for a transfer attack.
    """
    found = {name: settings[name] for name in LASTING} | dict(computing)
    if victim.seed != settings["seed"]:
        found["victim_seed"] = victim.seed
    sampling = substitute and dataclasses.replace(substitute.sampling, seed=None)
    if sampling and sampling != Sampling():
        found["substitute_sampling"] = dataclasses.asdict(sampling)
    return found


@dataclasses.dataclass(frozen=True)
class Stores:
    """Opens the store of an attack.

    Attributes:
        folder: one result's own, removed when it is written; or, with `shared`, that of all.
        fixed: what the batches depend on, apart from the attack.
        seed: of what the attacks draw.
        shared: a folder for each attack with its settings, which other results use again: a longer
            budget curve computes only the sizes that a shorter one did not.
    """

    folder: pathlib.Path
    fixed: Mapping[str, Any]
    seed: int
    resume: bool = False
    overwrite: bool = False
    merge: bool = False
    shared: bool = False

    def __call__(self, component: SuiteAttack) -> BatchStore:
        """The store of this attack."""
        own = {
            "attack": component.attack.settings(),
            "eps": component.eps,
            "source": component.source,
            "seed": self.seed,
        } | dict(self.fixed)
        if not self.shared:
            place = self.folder / component.name
            return BatchStore(place, own, self.resume, self.overwrite, self.merge)
        text = json.dumps(own, sort_keys=True, default=str).encode()
        place = self.folder / digest(np.frombuffer(text, np.uint8))[:20]
        return BatchStore(place, own, resume=True, by_images=True)
