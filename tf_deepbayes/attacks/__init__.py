"""Attacks on any classifier, given as a function that returns logits."""

import dataclasses
from typing import Any

from tf_deepbayes.attacks.adaptive.attacks import HeadLogit, ImitateFeatures, ImitateHead
from tf_deepbayes.attacks.adaptive.targets import Targets
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.black_box.hop_skip_jump import HopSkipJump
from tf_deepbayes.attacks.black_box.random_noise import RandomNoise
from tf_deepbayes.attacks.black_box.spsa import SPSA
from tf_deepbayes.attacks.black_box.square import Square
from tf_deepbayes.attacks.white_box.carlini_wagner import CarliniWagnerL2
from tf_deepbayes.attacks.white_box.fgsm import FGSM
from tf_deepbayes.attacks.white_box.matching import FeatureMatching, GuideImages, LogitMatching
from tf_deepbayes.attacks.white_box.pgd import MIM, PGD
from tf_deepbayes.attacks.white_box.ranked import RankedPGD
from tf_deepbayes.attacks.white_box.superwhite import Superwhite
from tf_deepbayes.core.errors import InputError

# Name on the command line → attack.
ATTACKS: dict[str, type[Attack]] = {
    str(attack.name): attack
    for attack in (
        *(FGSM, PGD, MIM, CarliniWagnerL2, RankedPGD, Superwhite, LogitMatching, FeatureMatching),
        *(HeadLogit, ImitateHead, ImitateFeatures),
        *(SPSA, Square, HopSkipJump, RandomNoise),
    )
}


# Earlier names, kept for one release.
Boundary, Matching, Pool = HopSkipJump, LogitMatching, GuideImages


def fields(name: str) -> set[str]:
    """The settings of the attack of that name; InputError when there is none."""
    if name not in ATTACKS:
        raise InputError(f"unknown attack {name!r}; choose one of {', '.join(ATTACKS)}")
    return {field.name for field in dataclasses.fields(ATTACKS[name])}


def build(name: str, **options: Any) -> Attack:
    """The attack of that name; options that are None keep their defaults.

    Raises:
        InputError: no such attack, or the attack has no such option.
    """
    given = {n: value for n, value in options.items() if value is not None}
    for option in set(given) - fields(name):
        raise InputError(f"{option} does not apply to {name}; leave it out")
    return ATTACKS[name](**given)


__all__ = [
    "ATTACKS",
    "FGSM",
    "MIM",
    "PGD",
    "SPSA",
    "Attack",
    "Boundary",
    "CarliniWagnerL2",
    "FeatureMatching",
    "GuideImages",
    "HeadLogit",
    "HopSkipJump",
    "ImitateFeatures",
    "ImitateHead",
    "LogitMatching",
    "Matching",
    "Pool",
    "RandomNoise",
    "RankedPGD",
    "Square",
    "Superwhite",
    "Targets",
    "build",
    "fields",
]
