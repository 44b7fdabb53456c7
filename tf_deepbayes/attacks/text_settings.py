"""What the paper's text says of its attacks where the released code says otherwise or nothing.

Li et al. 2019, section 5 and appendix E. Without an entry here, an attack's defaults are those of
both. The released code has no SPSA.
"""

from typing import Any

from tf_deepbayes.attacks.white_box.carlini_wagner import BY_C
from tf_deepbayes.core.errors import InputError

# Attacks of the paper → the settings that differ from the defaults.
TEXT: dict[str, dict[str, Any]] = {
    "fgsm": {},
    "pgd": {},
    "mim": {"nb_iter": 40},
    "cw": {"learning_rate": BY_C},
    "superwhite": {},
    "spsa": {"spsa_samples": 2000, "stop_above": 5.0},
}


def text_settings(name: str) -> dict[str, Any]:
    """The settings of the paper's text that are not the defaults of the attack of that name.

    Raises:
        InputError: the paper does not have that attack.
    """
    if name not in TEXT:
        raise InputError(
            f"the paper has no attack {name}, only {', '.join(TEXT)}; leave out --settings"
        )
    return dict(TEXT[name])
