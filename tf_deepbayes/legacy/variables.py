"""The published code's letters, variables and names of victims; nothing else knows them."""

import itertools
from collections.abc import Mapping

import keras
import numpy as np

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.legacy.published_names import model_name
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.factorisations import get

_CHECK = "check letter and likelihood"


# Conditional of ours → published stem of its dense layers, per model, in the order in which the
# published code makes them. p(y|z) of A is called "pzy" there, like p(z|y) of B and G.
_STEMS = {
    "GFZ": {"p_y_z": "gen_pzy", "p_x_zy": "gen", "q_z_xy": "enc_mlp"},
    "GFY": {"p_z_y": "gen_pzy", "p_x_zy": "gen", "q_z_xy": "enc_mlp"},
    "DFZ": {"p_y_zx": "gen_pyzx_mlp", "p_x_z": "gen", "q_z_xy": "enc_mlp"},
    "DFX": {"p_y_zx": "gen_pyzx_mlp", "p_z_x": "gen_pzx_mlp", "q_z_xy": "enc_mlp"},
    "DBX": {"p_y_z": "gen_pyz_mlp", "p_z_x": "gen_pzx_mlp", "q_z_xy": "enc_mlp"},
    "GBZ": {"p_y_z": "gen_pyz_mlp", "p_x_z": "gen", "q_z_xy": "enc_mlp"},
    "GBY": {"p_z_y": "gen_pzy", "p_x_z": "gen", "q_z_xy": "enc_mlp"},
}
_FEATURES = {"q_z_xy": "enc_conv", "p_z_x": "gen_pzx_conv", "p_y_zx": "gen_pyzx_conv"}
# Stems whose layers are counted. The other loops forget to count, so that all their layers are
# number 0, which TensorFlow tells apart by a suffix (on features by a scope for each layer).
_COUNTED_ON_IMAGES = ("gen", "enc_mlp")
_COUNTED_ON_FEATURES = ("gen_pzx_mlp", "gen_pxz_mlp", "enc_mlp")


def published_variables(model: LatentClassifier) -> dict[str, keras.Variable]:
    """{published name: our variable}, in the published order: generator, then encoder.

    The names depend on the model and on what x is: the published scripts for grey images, for
    colour images and for VGG features each name some variables in a way of their own.
    """
    found: dict[str, keras.Variable] = {}
    scope = 0
    for name, stem in _stems(model).items():
        conditional = getattr(model, name)
        if model.architecture.is_image and conditional.features is not None:
            weights = conditional.features.weights
            found |= zip(_feature_names(_FEATURES[name]), weights, strict=True)
        weights = conditional.network.weights
        # A layer starts at its kernel; transposed convolutions have nothing else.
        layers = np.cumsum([len(weight.shape) > 1 for weight in weights]) - 1
        for weight, layer in zip(weights, layers, strict=True):
            kind = "W" if len(weight.shape) > 1 else "b"
            is_image = model.architecture.is_image
            found[_dense_name(stem, kind, layer, scope + layer, is_image)] = weight
        scope += layers[-1] + 1
    return found


def _stems(model: LatentClassifier) -> dict[str, str]:
    name, architecture = type(model).__name__, model.architecture
    stems = dict(_STEMS[name])
    if not architecture.is_image:
        return {key: "gen_pxz_mlp" if stem == "gen" else stem for key, stem in stems.items()}
    if name == "GBZ" and architecture.input_shape[-1] == 3:
        stems["p_y_z"] = "gen_pyzx_mlp"  # so called by the script of F for colour images alone
    return stems


def _feature_names(scope: str) -> list[str]:
    layers = ("conv0", "conv1", "conv2", "dense0")
    return [f"{scope}/{layer}/{kind}:0" for layer in layers for kind in ("kernel", "bias")]


def _dense_name(stem: str, kind: str, layer: int, scope: int, is_image: bool) -> str:
    if not is_image:
        number = layer if stem in _COUNTED_ON_FEATURES else 0
        return f"vae{_suffix(scope)}/{stem}_l{number}_{kind}:0"
    if stem in _COUNTED_ON_IMAGES:
        return f"{stem}_l{layer}_{kind}:0"
    return f"{stem}_l0_{kind}{_suffix(layer)}:0"


def _suffix(count: int) -> str:
    """TensorFlow's suffix for a name or scope that was used `count` times before."""
    return f"_{count}" if count else ""


def infer_architecture(params: Mapping[str, Array]) -> Architecture:
    """Sizes and input shape from the shapes of a published checkpoint's encoder.

    The arrays do not fix the height and width of an image: 28 and 32 both end at 4×4. One channel
    means 28×28 (MNIST), three mean 32×32 (CIFAR), the only two in the published code.

    Raises:
        InputError: no such encoder, or one of sizes that the checkpoint cannot fill.
    """
    is_image = any(name.startswith("enc_conv/") for name in params)
    try:
        architecture = (_image_architecture if is_image else _feature_architecture)(params)
        _check_size(architecture, sum(array.size for array in params.values()))
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"expected the variables of a published model, found {some(params)} ({error!r}); "
            "give a checkpoint of the published code"
        ) from None
    return architecture


def _image_architecture(params: Mapping[str, Array]) -> Architecture:
    kernels = [params[f"enc_conv/conv{i}/kernel:0"].shape for i in range(3)]
    size, dim_h = params["enc_mlp_l0_W:0"].shape
    side = 28 if kernels[0][2] == 1 else 32
    return Architecture(
        input_shape=(side, side, kernels[0][2]),
        num_classes=size - dim_h,
        dim_z=params["enc_mlp_l1_W:0"].shape[1] // 2,
        dim_h=dim_h,
        channels=tuple(kernel[3] for kernel in kernels),
    )


def _feature_architecture(params: Mapping[str, Array]) -> Architecture:
    """Every layer of these models is in a numbered scope of its own, which is left out here."""
    shapes = {name.partition("/")[2]: array.shape for name, array in params.items()}
    size, dim_h = shapes["enc_mlp_l0_W:0"]
    decoder = shapes.get("gen_pxz_mlp_l2_W:0")
    num_features = decoder[1] if decoder else shapes["gen_pzx_mlp_l0_W:0"][0]
    dim_z = shapes["enc_mlp_l2_W:0"][1] // 2
    return Architecture((num_features,), size - num_features, dim_z, dim_h, (), hidden_layers=2)


def _check_size(architecture: Architecture, num_values: int) -> None:
    """A network is made only of sizes whose product some array of the checkpoint must have.

    Otherwise a small file could ask for a network that no memory holds.
    """
    a = architecture
    widths = [a.dim_h, a.dim_z, a.num_classes]
    if a.is_image:
        height, width = a.spatial_sizes()[-1]
        widths.append(height * width * a.channels[-1])
    else:
        widths.append(a.num_pixels)
    channels = itertools.pairwise([*a.input_shape[2:], *a.channels])
    products = [a.dim_h * max(widths), *(one * other for one, other in channels)]
    if not 0 < min(products) <= max(products) <= num_values:
        raise ValueError(f"{num_values} values do not fill {a}")


def model_from_params(
    params: Mapping[str, Array], letter: str, likelihood: str = "l2"
) -> LatentClassifier:
    """The classifier of a published checkpoint {variable name: array}, loaded.

    Args:
        params: the checkpoint; transposed convolutions as `(5, 5, out, in)`.
        letter: A … G, or the name of the factorisation.
        likelihood: the likelihood it was trained with, which the arrays do not record.

    Raises:
        InputError: a variable is missing, left over, of another shape, or not finite float32.
    """
    factorisation = get(model_name(letter))
    model = factorisation(infer_architecture(params), likelihood)
    load_params(model, params)
    return model


def params_from_model(model: LatentClassifier) -> dict[str, Array]:
    """The weights in the format of a published checkpoint, see `model_from_params`.

    Raises:
        InputError: sizes that no published model has.
    """
    try:
        params = {name: v.numpy() for name, v in published_variables(model).items()}
        is_published = infer_architecture(params) == model.architecture
    except ValueError:  # another number of convolutions
        is_published = False
    if not is_published:
        raise InputError(
            "expected sizes that a published model can have (28×28×1 or 32×32×3 images, three "
            f"convolutions, published depths), got {model.architecture}"
        )
    return params


def load_params(model: LatentClassifier, params: Mapping[str, Array]) -> None:
    """Load a published checkpoint's arrays into a model; all of them must match."""
    name, variables = type(model).__name__, published_variables(model)
    missing, left_over = variables.keys() - params.keys(), params.keys() - variables.keys()
    if missing or left_over:
        parts = [f"it lacks {some(missing)}"] if missing else []
        parts += [f"{name} has no use for {some(left_over)}"] if left_over else []
        raise InputError(f"not the variables of a published {name}: {', '.join(parts)}; {_CHECK}")
    for key, variable in variables.items():
        wanted, found = list(variable.shape), params[key]
        if list(found.shape) != wanted:
            raise InputError(
                f"{key} of {name} must have shape {wanted}, got {list(found.shape)}; {_CHECK}"
            )
        if found.dtype != np.float32 or not np.isfinite(found).all():
            what = "NaN or infinite values" if found.dtype == np.float32 else str(found.dtype)
            raise InputError(f"{key} must be finite float32, got {what}; fetch the file again")
    for key, variable in variables.items():
        variable.assign(params[key])


def some(names: Mapping | set[str]) -> str:
    """A few of the names, for an error."""
    shown = ", ".join(repr(name[:60]) for name in sorted(names)[:3])
    return f"{shown or 'none'}{' …' if len(names) > 3 else ''}"
