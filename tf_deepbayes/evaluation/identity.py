"""Whether a result on disk has the requested settings.

Results record an attack as the mapping `Attack.settings()`. Earlier results hold the text of a
Python call instead, such as "PGD(targeted=False, norm=inf)", which is parsed into such a mapping.
"""

import ast
import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from tf_deepbayes.attacks import ATTACKS
from tf_deepbayes.attacks.base import plain

# Names of attacks and settings in earlier texts.
EARLIER_NAMES = {
    **{"FGSM": "fgsm", "PGD": "pgd", "MIM": "mim", "CarliniWagnerL2": "cw", "SPSA": "spsa"},
    **{"Superwhite": "superwhite", "Matching": "matching", "FeatureMatching": "feature_matching"},
    **{"Square": "square", "Boundary": "boundary", "RandomNoise": "noise", "Bounded": "bounded"},
    **{"Logit": "logit", "Marginal": "marginal", "Divergence": "kl"},
}
EARLIER_SETTINGS = {"pool": "guides"}
# Not in earlier texts: a setting of the result records it.
UNSAID = ("early_stop", "check_every")
# Settings of a result that are recorded only where they have another value.
UNLESS_SAID = {
    **{"jit_compile": False, "mixed_precision": False, "image_order": "file", "norm": math.inf},
    **{"attacks": None, "decompose": None, "mode": "sample"},
}
DIGEST = re.compile(r"[0-9a-f]{64}")
# Differences in one message, and characters of each value.
MOST_SAID, MOST_SHOWN = 3, 60
POOL = re.compile(r"Pool\((\d+) images\)")


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What is different in a result's settings, in words: `nb_iter is 40 there and 100 now`."""
    unsaid = {n: value for n, value in UNLESS_SAID.items() if n in found and n not in wanted}
    return _differences(found, unsaid | dict(wanted))


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    said = []
    for name, value in wanted.items():
        if not _same(found.get(name), value):
            said += _difference(name, found.get(name), value)
    return [*said[:MOST_SAID], *(["and more"] if len(said) > MOST_SAID else [])]


def _difference(name: str, found: Any, wanted: Any) -> list[str]:
    if isinstance(found, str) and isinstance(wanted, Mapping):
        found = read_call(found) or found
        wanted = {name: value for name, value in wanted.items() if name not in UNSAID}
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        if found.get("name") == wanted.get("name"):
            known = default_settings(str(found.get("name"))) | dict(found)
            whose = "" if name == "attack" else f"{name} "
            return [whose + said for said in _differences(known, _complete(wanted, found))]
        found, wanted = (side.get("name", side) for side in (found, wanted))
    there = "not recorded" if found is None else _shown(found)
    return [f"{name} is {there} there and {_shown(wanted)} now"]


def _shown(value: Any) -> str:
    text = str(value.get("name", value) if isinstance(value, Mapping) else value)
    if DIGEST.fullmatch(text):
        return text[:12]
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _same(found: Any, wanted: Any) -> bool:
    if not (isinstance(wanted, Mapping) and "name" in wanted):
        return found == wanted
    if isinstance(found, str):
        earlier = read_call(found)
        wanted = {name: value for name, value in wanted.items() if name not in UNSAID}
        return earlier is not None and _same(earlier, wanted)
    if not isinstance(found, Mapping):
        return False
    defaults = default_settings(wanted["name"])
    wanted = _complete(wanted, found)
    return all(_same(found.get(n, defaults.get(n)), value) for n, value in wanted.items())


def _complete(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The settings wanted, and defaults of those that are said of what was found alone.

    A setting younger than results on disk is recorded only where it is not the default.
    """
    defaults = default_settings(str(wanted.get("name")))
    return {name: defaults[name] for name in found if name in defaults} | dict(wanted)


def default_settings(name: str) -> dict[str, Any]:
    """The default of each setting of an attack, used by results older than the setting."""
    if name not in ATTACKS:
        return {}
    fields = dataclasses.fields(ATTACKS[name])
    return {f.name: plain(f.default) for f in fields if f.default is not dataclasses.MISSING}


def read_call(text: str) -> dict[str, Any] | None:
    """The mapping that the text of a call stands for; None for any other text."""
    text = POOL.sub(r"{'num_images': \1}", text)
    try:
        return _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError):
        return None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = EARLIER_NAMES.get(node.func.id, node.func.id)
        keywords = {EARLIER_SETTINGS.get(str(k.arg), str(k.arg)): k.value for k in node.keywords}
        given = [_value(argument) for argument in node.args]
        # A detector's text begins with its own name and the rule of its thresholds.
        start = dict(zip(("name", "threshold"), given, strict=False)) if given else {"name": name}
        return start | {name: _value(value) for name, value in keywords.items()}
    if isinstance(node, ast.Name):
        return node.id  # inf
    return ast.literal_eval(node)
