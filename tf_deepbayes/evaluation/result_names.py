"""Names of results: the published name, and in it every setting that is not the published one.

`pgd_eps0.10` has the published settings, `pgd_log_odds_nb_iter100_eps0.10` has another loss and
number of steps, and `pgd_K20_eps0.10` attacks a classifier that draws 20 samples.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tf_deepbayes.attacks.base import Attack, number_text

# Settings that a name says in another way, or that only divide the work.
ELSEWHERE = ("targeted", "batch_size", "seed")
NUMBER = re.compile(r"(?<=_eps)[0-9.e-]*[0-9]|(?<=_c)[0-9.e-]*[0-9](?=_lr)")


def parts_of(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """A part for each setting that differs from its default.

    A number follows its name (`nb_iter100`), a word stands for itself (`log_odds`), and a switch is
    its name (`snapshot`, `no_rand_init`).
    """
    return [_part(name, value) for name, value in settings.items() if value != defaults.get(name)]


def _part(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    return str(value) if isinstance(value, str) else f"{name}{number_text(value)}"


def joined(*parts: str | None) -> str:
    """The parts that are there, as one name."""
    return "_".join(part for part in parts if part)


def attack_name(name: str, attack: Attack, eps: float, others: Iterable[str] = ()) -> str:
    """The name of an attack's results, such as fgsm_eps0.10.

    Args:
        name: what it begins with: the attack's name, or what the user calls it.
        others: further parts, see `attack_parts` and `parts_of`.
    """
    return joined(name, *others, attack.eps_name(eps), "targeted" if attack.targeted else None)


def attack_parts(attack: Attack) -> list[str]:
    """The settings of an attack that are not its defaults."""
    said = (*ELSEWHERE, *attack.in_eps_name)
    defaults = {f.name: f.default for f in dataclasses.fields(attack) if f.name not in said}
    values = {name: getattr(attack, name) for name in defaults}
    simple = {name: v for name, v in values.items() if isinstance(v, bool | int | float | str)}
    return parts_of(simple, defaults)


def split_name(name: str) -> tuple[str, str]:
    """(what comes before the size, the size and what follows): fgsm_eps0.10 → fgsm, eps0.10."""
    found = re.fullmatch(r"(.*?)_((?:eps|c)[0-9.].*)", name)
    return (found[1], found[2]) if found else (name, "")


def same_size(name: str) -> str:
    """The name with its size as results have it: fgsm_eps0.1 is fgsm_eps0.10."""
    return NUMBER.sub(lambda found: number_text(float(found[0]), 2), name)
