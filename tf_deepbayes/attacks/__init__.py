"""Attacks on any classifier given by its logits."""

from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.fgsm import FGSM
from tf_deepbayes.attacks.gradient import MIM, PGD
from tf_deepbayes.errors import InputError

# Name on the command line → attack.
ATTACKS: dict[str, type[Attack]] = {"fgsm": FGSM, "pgd": PGD, "mim": MIM}


def get(name: str) -> type[Attack]:
    """The attack of that name; InputError when there is none."""
    if name not in ATTACKS:
        raise InputError(f"unknown attack {name!r}; choose one of {', '.join(ATTACKS)}")
    return ATTACKS[name]


__all__ = ["ATTACKS", "FGSM", "MIM", "PGD", "Attack", "get"]
