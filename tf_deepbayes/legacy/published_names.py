"""The published code's letters, names of victims and of saved attacks."""

import re

from tf_deepbayes.models import registry
from tf_deepbayes.models.factorisations import FACTORISATIONS

LETTERS = dict(zip("ABCDEFG", FACTORISATIONS, strict=False))


def model_name(name: str) -> str:
    """GFZ … GBY, MLP, CNN or BNN from that name, or from a published letter A … G."""
    return registry.check_name(LETTERS.get(name, name))


def parse_victim(name: str) -> tuple[str, int, int | None] | None:
    """(model, K, dim_z or None) of a published victim name: bayes_K10_Z32_A, mlp, cnn, bnn_K10."""
    if name in ("mlp", "cnn"):
        return name.upper(), 1, None
    if match := re.fullmatch(r"bnn_K(\d+)", name):
        return "BNN", int(match[1]), None
    match = re.fullmatch(r"bayes_K(\d+)(?:_Z(\d+))?_([A-G])(?:_cnn)?", name)
    if match is None:
        return None
    num_samples, dim_z, letter = match.groups()
    return LETTERS[letter], int(num_samples), int(dim_z) if dim_z else None


def parse_fusion_victim(name: str) -> tuple[str, int, str] | None:
    """(model, K, VGG layer) of a published fusion model's name: fea_K10_F_mid."""
    match = re.fullmatch(r"fea_K(\d+)_([EFG])_(low|mid|high)", name)
    return (LETTERS[match[2]], int(match[1]), match[3]) if match else None


def saved_attack_name(name: str, data_name: str) -> str:
    """Our name of a saved attack from the published one, or from the published file name.

    fgsm_eps0.10, fgsm_eps0.10_untargeted and mnist_fgsm_eps0.10_untargeted.pkl are the same.
    """
    if name.endswith(".pkl"):
        name = name.removesuffix(".pkl").removeprefix(f"{data_name}_")
    return name.removesuffix("_untargeted")
