"""Files of networks that cannot be used, each with the one line that says why."""

import pathlib
import warnings
from collections.abc import Callable

import h5py
import keras
import numpy as np

from tests.models.fusion.networks import (
    SHAPE,
    WIDTH,
    drawn_weights,
    save,
    small_network,
    write_old_h5,
)
from tf_deepbayes.models.fusion.vgg16 import vgg16

GEIFMAN = "cifar10vgg.h5"
NAMES = ", ".join(layer.name for layer in vgg16(WIDTH).layers)


def functional(shape: tuple[int | None, ...], **options: object) -> keras.Model:
    x = keras.Input(shape)
    y = keras.layers.Conv2D(2, 3, name="conv", **options)(x)
    return keras.Model(x, keras.layers.GlobalAveragePooling2D(name="features")(y))


def of_bytes() -> keras.Model:
    """A network that takes every image in [0, 1] for one of class 0."""
    x = keras.Input(SHAPE)
    mean, scores = keras.layers.GlobalAveragePooling2D(name="features"), keras.layers.Dense(10)
    model = keras.Model(x, scores(mean(x)))
    weight = np.zeros((3, 10), np.float32)
    weight[0, 9] = 1.0
    scores.set_weights([weight, np.array([100.0] + [0.0] * 9, np.float32)])
    return model


def two_inputs() -> keras.Model:
    inputs = [keras.Input(SHAPE), keras.Input(SHAPE)]
    return keras.Model(inputs, keras.layers.Add(name="features")(inputs))


def with_code() -> keras.Model:
    x = keras.Input(SHAPE)
    return keras.Model(x, keras.layers.Lambda(lambda x: x + 1, name="lambda_1")(x))


def model(make: Callable[[], keras.Model]) -> Callable[[pathlib.Path], object]:
    return lambda path: save(make(), path)


def weights(change: Callable[[h5py.File], None] = lambda file: None) -> Callable:
    """Geifman's file at 1/16 of the width, damaged."""
    return lambda path: write_old_h5(path, vgg16(WIDTH), drawn_weights(vgg16(WIDTH)), change=change)


def lacking(file: h5py.File) -> None:
    del file["batch_normalization_3/batch_normalization_3/gamma:0"]


def shorter(file: h5py.File) -> None:
    file.attrs["layer_names"] = file.attrs["layer_names"][:-2]


def longer(file: h5py.File) -> None:
    names = [str(name) for name in file.attrs["layer_names"]]
    file.copy("dense_2", "dense_3")
    file.attrs["layer_names"] = [*names, "dense_3"]


def first_kernel(values: np.ndarray) -> Callable[[h5py.File], None]:
    """The first layer's arrays in the published size, this kernel among them."""

    def change(file: h5py.File) -> None:
        group = file["conv2d_1/conv2d_1"]
        for name, array in (("kernel:0", values), ("bias:0", np.zeros(64, np.float32))):
            del group[name]
            group[name] = array

    return change


def weights_alone(path: pathlib.Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small_network().save_weights(path)


def cut(path: pathlib.Path) -> None:
    save(small_network(), path)
    path.write_bytes(path.read_bytes()[:3000])


def text(path: pathlib.Path) -> None:
    path.write_text("<html>404: not found</html>\n")


# Name of the file, what makes it, a layer, and the line; a damaged file's has a reason of its own.
NOTHING_RUN = "nothing in it is run: save a model of Keras' own layers"
CODE = "needs code that it does not hold (Lambda 'lambda_1')"
KERNEL = (3, 3, 3, 64)
BAD: list[tuple[str, Callable[[pathlib.Path], object], str, str]] = [
    (
        *("vgg.keras", model(lambda: vgg16(WIDTH)), "conv10"),
        "no layer 'conv10' in vgg.keras; choose low (max_pooling2d_2), mid (dropout_6), high "
        f"(dense_1) or one of {NAMES}",
    ),
    (
        *("large.keras", model(lambda: functional((224, 224, 3))), "features"),
        "extractor large.keras takes 224×224×3, cifar10 has 32×32×3; give one trained on 32×32×3",
    ),
    (
        *("cnn_model.h5", model(of_bytes), "features"),
        "extractor cnn_model.h5 gets .100 of 300 training images right, by chance .100; its pixels "
        "may be others: give --pixels bytes or geifman",
    ),
    (
        *(GEIFMAN, weights(lacking), "mid"),
        "cifar10vgg.h5 lacks batch_normalization_3/gamma (128); fetch it again (sha1 3d62c7ae…)",
    ),
    (
        *(GEIFMAN, weights(), "mid"),
        "cifar10vgg.h5: conv2d_1/kernel must be 3×3×3×64, got 3×3×3×4; expected Geifman's "
        "cifar10vgg.h5",
    ),
    *(
        (
            *(GEIFMAN, weights(change), "mid"),
            f"cifar10vgg.h5: {count} layers have weights, not 29; expected Geifman's cifar10vgg.h5",
        )
        for change, count in ((shorter, 28), (longer, 30))
    ),
    (
        *(GEIFMAN, weights(first_kernel(np.full(KERNEL, np.nan, np.float32))), "mid"),
        "cifar10vgg.h5: conv2d_1/kernel has NaN or infinite values; fetch it again",
    ),
    (
        *(GEIFMAN, weights(first_kernel(np.zeros(KERNEL))), "mid"),
        "cifar10vgg.h5: conv2d_1/kernel must be float32, got float64; fetch it again",
    ),
    (
        *("x.weights.h5", weights_alone, "mid"),
        "x.weights.h5 holds weights and no model, and they are not those of Geifman's VGG16; save "
        "the whole model as .keras",
    ),
    *((name, damage, "mid", "") for name in (GEIFMAN, "x.keras") for damage in (cut, text)),
    *(
        (f"x{end}", model(with_code), "lambda_1", f"x{end} {CODE}; {NOTHING_RUN}")
        for end in (".keras", ".h5")
    ),
    (
        *("saved", model(small_network), "conv"),
        "saved is a SavedModel, which gives only its outputs: classes, features; choose one of "
        "them or give a .keras file",
    ),
    (
        *("any.keras", model(lambda: functional((None, None, 3))), "conv"),
        "layer 'conv' gives [None, None, None, 2]; choose one of fixed size",
    ),
    (
        *("two.keras", model(two_inputs), "features"),
        "extractor two.keras has 2 inputs; expected one image",
    ),
    (
        *("first.keras", model(lambda: functional((3, 32, 32), data_format="channels_first"))),
        *("conv", "extractor first.keras is channels first; give one with channels last"),
    ),
]
