"""The reader of Geifman's weights: what it reads, and one line for every damage."""

import pathlib
import re

import h5py
import numpy as np
import pytest

from tests.models.fusion.networks import WIDTH, drawn_weights, write_old_h5
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models.fusion import geifman
from tf_deepbayes.models.fusion.vgg16 import vgg16


@pytest.mark.parametrize("first_number", [1, 14])
def test_old_files_are_read_by_order(tmp_path: pathlib.Path, first_number: int) -> None:
    model, path = vgg16(WIDTH), tmp_path / geifman.FILE
    wanted = drawn_weights(model)
    write_old_h5(path, model, wanted, first_number)
    geifman.load_weights(path, model)
    for one, other in zip(model.get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def _without_array(file: h5py.File) -> None:
    del file["batch_normalization_3/batch_normalization_3/gamma:0"]


def _other_dtype(file: h5py.File) -> None:
    del file["conv2d_1/conv2d_1/kernel:0"]
    file["conv2d_1/conv2d_1/kernel:0"] = np.zeros((3, 3, 3, 4))


def _not_finite(file: h5py.File) -> None:
    file["conv2d_1/conv2d_1/kernel:0"][0, 0, 0, 0] = np.nan


def _one_layer_less(file: h5py.File) -> None:
    file.attrs["layer_names"] = file.attrs["layer_names"][:-2]


def _one_layer_more(file: h5py.File) -> None:
    names = [str(name) for name in file.attrs["layer_names"]]
    file.copy("dense_2", "dense_3")
    file.attrs["layer_names"] = [*names, "dense_3"]


def _other_order(file: h5py.File) -> None:
    file.attrs["layer_names"] = file.attrs["layer_names"][::-1]


def _no_layers(file: h5py.File) -> None:
    del file.attrs["layer_names"]


def _other_shape(file: h5py.File) -> None:
    del file["conv2d_3/conv2d_3/kernel:0"]
    file["conv2d_3/conv2d_3/kernel:0"] = np.zeros((3, 3, 16, 32), np.float32)


DAMAGES = {
    _without_array: (
        "cifar10vgg.h5 lacks batch_normalization_3/gamma (8); fetch it again (sha1 3d62c7ae…)"
    ),
    _other_dtype: "cifar10vgg.h5: conv2d_1/kernel must be float32, got float64; fetch it again",
    _not_finite: ("cifar10vgg.h5: conv2d_1/kernel has NaN or infinite values; fetch it again"),
    _one_layer_less: (
        "cifar10vgg.h5: 28 layers have weights, not 29; expected Geifman's cifar10vgg.h5"
    ),
    _one_layer_more: (
        "cifar10vgg.h5: 30 layers have weights, not 29; expected Geifman's cifar10vgg.h5"
    ),
    _other_shape: (
        "cifar10vgg.h5: conv2d_3/kernel must be 3×3×4×8, got 3×3×16×32; expected Geifman's "
        "cifar10vgg.h5"
    ),
    **dict.fromkeys(
        (_other_order, _no_layers),
        "cifar10vgg.h5 holds weights and no model, and they are not those of Geifman's VGG16; save "
        "the whole model as .keras",
    ),
}


@pytest.mark.parametrize(
    ("change", "line"), DAMAGES.items(), ids=lambda v: getattr(v, "__name__", "")
)
def test_a_damage_is_one_line(tmp_path: pathlib.Path, change, line: str) -> None:  # type: ignore[no-untyped-def]
    model, path = vgg16(WIDTH), tmp_path / geifman.FILE
    before = model.get_weights()
    write_old_h5(path, model, drawn_weights(model), change=change)
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        geifman.load_weights(path, model)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)  # all or nothing


@pytest.mark.parametrize("kept", [0, 100, 3000, "<html>404: not found</html>\n"])
def test_a_truncated_or_other_file_is_one_line(tmp_path: pathlib.Path, kept: int | str) -> None:
    model, path = vgg16(WIDTH), tmp_path / geifman.FILE
    write_old_h5(path, model, drawn_weights(model))
    path.write_bytes(kept.encode() if isinstance(kept, str) else path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"^cifar10vgg.h5 is damaged \(.+\); fetch it again$"):
        geifman.load_weights(path, model)
    with pytest.raises(InputError, match=r"is damaged"):
        geifman.attributes(path)
