"""Every attack with as little work as possible, for tests that run all of them."""

from typing import Any

import numpy as np

from tests.small import convnet, images, labels_of
from tf_deepbayes.attacks import ATTACKS, Attack, GuideImages, Targets
from tf_deepbayes.attacks.white_box.bounded import Bounded
from tf_deepbayes.detection import Logit

NET = convnet()
X = images(9, shape=(8, 8, 1))
Y = labels_of(NET, X)
GUIDES = GuideImages(images(20, seed=1, shape=(8, 8, 1)), np.arange(20) % 5)
TARGETS = Targets(GUIDES.images[:2], GUIDES.labels[:2])
FITTED = Logit().fit(NET(GUIDES.images).numpy(), GUIDES.labels, 0.3)
# What makes an attack short, or complete.
OPTIONS: dict[str, dict[str, Any]] = {
    "superwhite": {"detector": FITTED, "snapshot": True, "nb_iter": 2},
    "matching": {"guides": GUIDES, "nb_iter": 2},
    "feature_matching": {"guides": GUIDES, "nb_iter": 2},
    "imitate_head": {"targets": TARGETS, "nb_iter": 2},
    "imitate_features": {"targets": TARGETS, "nb_iter": 2},
    "spsa": {"nb_iter": 2, "spsa_samples": 4},
    "boundary": {"nb_iter": 1, "initial_samples": 4, "votes": 1},
    "fgsm": {},
}
NAMES = [*ATTACKS, "bounded"]


def short_attack(name: str, batch_size: int = 3) -> Attack:
    """The attack of that name, or a `Bounded` one."""
    if name == "bounded":
        inside = ATTACKS["cw"](nb_iter=2, batch_size=batch_size)  # type: ignore[call-arg]
        return Bounded(attack=inside, batch_size=batch_size)
    return ATTACKS[name](batch_size=batch_size, **OPTIONS.get(name, {"nb_iter": 2}))
