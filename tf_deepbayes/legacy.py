"""The published code's letters, variable names and checkpoints; nothing else knows them."""

import re
from collections.abc import Mapping

import numpy as np

from tf_deepbayes import models
from tf_deepbayes.architecture import Architecture
from tf_deepbayes.axes import Array
from tf_deepbayes.classifier import LatentClassifier
from tf_deepbayes.errors import InputError
from tf_deepbayes.factorisations import FACTORISATIONS, get

LETTERS = dict(zip("ABCDEFG", FACTORISATIONS, strict=True))

# Conditional of ours → published name stem of its dense layers, per model. p(y|z) of A is called
# "pzy" there, like p(z|y) of B and G.
_STEMS = {
    "GFZ": {"p_y_z": "gen_pzy", "p_x_zy": "gen"},
    "GFY": {"p_z_y": "gen_pzy", "p_x_zy": "gen"},
    "DFZ": {"p_x_z": "gen", "p_y_zx": "gen_pyzx_mlp"},
    "DFX": {"p_z_x": "gen_pzx_mlp", "p_y_zx": "gen_pyzx_mlp"},
    "DBX": {"p_z_x": "gen_pzx_mlp", "p_y_z": "gen_pyz_mlp|gen_pyzx_mlp"},
    # The CIFAR-10 script of F writes p(y|z) as "pyzx".
    "GBZ": {"p_y_z": "gen_pyz_mlp|gen_pyzx_mlp", "p_x_z": "gen|gen_pxz_mlp"},
    "GBY": {"p_z_y": "gen_pzy|gen_pzy_mlp", "p_x_z": "gen|gen_pxz_mlp"},
}
_ENCODER = {"q_z_xy": "enc_mlp"}
_FEATURES = {"q_z_xy": "enc_conv", "p_z_x": "gen_pzx_conv", "p_y_zx": "gen_pyzx_conv"}


def model_name(name: str) -> str:
    """GFZ … GBY, MLP, CNN or BNN from that name, or from a published letter A … G."""
    return models.check_name(LETTERS.get(name, name))


def published_names(params: Mapping[str, Array], model: str) -> dict[str, list[str]]:
    """{conditional: its published variable names, in the order of our weights}."""
    stems = {**_STEMS[model], **_ENCODER}
    return {
        conditional: _dense_names(params, stem) + _feature_names(params, conditional)
        for conditional, stem in stems.items()
    }


def _dense_names(params: Mapping[str, Array], stem: str) -> list[str]:
    """Names `[vae_3/]stem_l0_W[_1]:0` and `…_b…`, layer by layer.

    Layers are told apart by scope number, then by layer number, then by the suffix that
    TensorFlow adds to a name used twice.
    """
    pattern = re.compile(rf"(?:vae(?:_(\d+))?/)?(?:{stem})_l(\d+)_([Wb])(?:_(\d+))?:0")

    def order(name: str) -> tuple[int, ...]:
        scope, layer, kind, repeat = pattern.fullmatch(name).groups()  # type: ignore[union-attr]
        return int(scope or 0), int(layer), int(repeat or 0), "Wb".index(kind)

    return sorted((name for name in params if pattern.fullmatch(name)), key=order)


def _feature_names(params: Mapping[str, Array], conditional: str) -> list[str]:
    scope = _FEATURES.get(conditional, "") + "/"
    layers = ("conv0", "conv1", "conv2", "dense0")
    names = [f"{scope}{layer}/{kind}:0" for layer in layers for kind in ("kernel", "bias")]
    return [name for name in names if name in params]


def infer_architecture(params: Mapping[str, Array], model: str) -> Architecture:
    """Sizes and input shape from the shapes of a published checkpoint's arrays.

    The arrays do not fix the height and width of an image: 28 and 32 both end at 4×4. One channel
    means 28×28 (MNIST), three mean 32×32 (CIFAR), the only two in the published code.
    """
    dense = {
        conditional: [np.asarray(params[name]) for name in group if "_W" in name]
        for conditional, group in published_names(params, model).items()
    }
    if not all(dense.values()):
        raise InputError(
            f"expected the variables of a published {model}, found {sorted(params)[:3]} … without "
            f"those of {[name for name, found in dense.items() if not found]}; check the letter"
        )
    dim_h, dim_z = dense["q_z_xy"][0].shape[1], dense["q_z_xy"][-1].shape[1] // 2
    if "p_z_y" in dense:
        num_classes = dense["p_z_y"][0].shape[0]
    else:
        num_classes = dense["p_y_z" if "p_y_z" in dense else "p_y_zx"][-1].shape[1]
    kernel_names = [f"enc_conv/conv{i}/kernel:0" for i in range(3)]
    if any(name not in params for name in kernel_names):
        size = dense["q_z_xy"][0].shape[0] - num_classes
        return Architecture((size,), num_classes, dim_z, dim_h, (), hidden_layers=2)
    kernels = [np.asarray(params[name]) for name in kernel_names]
    image_channels, channels = kernels[0].shape[2], tuple(k.shape[3] for k in kernels)
    side = 28 if image_channels == 1 else 32
    return Architecture((side, side, image_channels), num_classes, dim_z, dim_h, channels)


def model_from_params(
    params: Mapping[str, Array], letter: str, likelihood: str = "l2"
) -> LatentClassifier:
    """The classifier of a published checkpoint {variable name: array}, loaded.

    Args:
        params: the checkpoint; transposed convolutions as `(5, 5, out, in)`.
        letter: A … G, or the name of the factorisation.
        likelihood: which likelihood it was trained with; the arrays do not say.

    Raises:
        ValueError: a variable is missing, left over or of another shape.
    """
    model = get(model_name(letter))(infer_architecture(params, model_name(letter)), likelihood)
    load_params(model, params)
    return model


def load_params(model: LatentClassifier, params: Mapping[str, Array]) -> None:
    """Put a published checkpoint's arrays into a model; all of them must fit."""
    names = published_names(params, type(model).__name__)
    left_over = set(params) - {name for group in names.values() for name in group}
    if left_over:
        raise InputError(
            f"{type(model).__name__} has no use for {sorted(left_over)[:3]}; check the letter"
        )
    for conditional in model.conditionals():
        group = names[conditional.name]
        shapes = [tuple(weight.shape) for weight in conditional.weights]
        found = [np.shape(params[name]) for name in group]
        if shapes != found:
            raise InputError(
                f"{conditional.name} of {type(model).__name__} needs arrays of shapes {shapes}, "
                f"got {dict(zip(group, found, strict=True))}; check letter and likelihood"
            )
        for weight, name in zip(conditional.weights, group, strict=True):
            weight.assign(params[name])


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
