"""What images and labels may be, said in one place."""

from typing import Any

import numpy as np
import pytest

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.metrics import accuracy
from tf_deepbayes.core.validation import check_images, check_inputs, check_labels, check_pixels
from tf_deepbayes.data.splits import Split

UNIT = np.random.default_rng(0).uniform(size=(4, 8, 8, 1)).astype(np.float32)
BYTES = (UNIT * 255).astype(np.uint8)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_of_any_precision_are_pixels(kind: type) -> None:
    found = check_images(UNIT.astype(kind))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, UNIT, atol=1e-3)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64])
def test_whole_numbers_are_bytes_where_they_can_be(kind: type) -> None:
    np.testing.assert_array_equal(check_images(BYTES.astype(kind)), BYTES)


NO_IMAGES: dict[str, tuple[Any, str]] = {
    "0 to 255": (
        UNIT * 255,
        r"values from 0\.\d+ to 25\d\.?\d*; expected bytes \(uint8\) or floats",
    ),
    "-1 to 1": (2 * UNIT - 1, "values from -0.9"),
    "16 bits": (BYTES.astype(np.uint16) * 200, "uint16 with values from 0 to 5"),
    "0 and 1": ((UNIT > 0.5).astype(int), "int64 with values from 0 to 1"),
    "NaN": (np.where(UNIT[1] == UNIT, np.nan, UNIT), "1 of the images have NaN"),
    "text": (np.array(["a"]), "expected bytes or floats"),
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_are_no_images_is_told_apart(name: str) -> None:
    images, message = NO_IMAGES[name]
    with pytest.raises(InputError, match=message) as caught:
        check_images(images)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    if name != "text":
        with pytest.raises(InputError):
            Split(images, np.zeros(4, int))


@pytest.mark.parametrize("y", [[2, 0], [[2], [0]], [[0, 0, 1], [1, 0, 0]], [2.0, 0.0]])
def test_labels_may_be_numbers_a_column_or_one_hot_rows(y: list) -> None:
    assert check_labels(y, 3, 2).tolist() == [2, 0]


NO_LABELS: dict[str, tuple[Any, str]] = {
    "names": (["cat", "dog", "cat", "ant"], "got cat, dog, cat …; number the classes"),
    "numbers as text": (["1", "2"], "must be class numbers"),
    "too large": ([0, 3], "must be from 0 to 2, got 0 to 3"),
    "negative": ([0, -1], "must be from 0 to 2"),
    "fractions": ([0.5, 1.0], "must be whole numbers"),
    "NaN": ([np.nan, 1.0], "must be whole numbers"),
    "too few": ([0], "one label for each of 2 images, got 1"),
    "other rows": ([[0.2, 0.3, 0.5], [1, 0, 0]], "must be one-hot rows"),
    "other columns": ([[0, 1], [1, 0]], "need 3 columns, got 2"),
    "a cube": (np.zeros((2, 2, 2)), "must be whole numbers"),
}


@pytest.mark.parametrize("name", NO_LABELS)
def test_what_are_no_labels_is_told_apart(name: str) -> None:
    y, message = NO_LABELS[name]
    with pytest.raises(InputError, match=message) as caught:
        check_labels(y, 3, 2)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_accuracy_of_a_column_of_labels() -> None:
    assert accuracy(np.array([0, 1, 1]), np.array([[0], [1], [1]])) == 1.0
    with pytest.raises(InputError, match="one label for each of 3"):
        accuracy(np.array([0, 1, 1]), np.array([0, 1]))


def test_a_split_has_a_label_for_each_image() -> None:
    assert Split(BYTES, np.array([[0], [1], [0], [1]])).labels.tolist() == [0, 1, 0, 1]
    soft = np.full((4, 2), 0.5, np.float32)
    assert Split(BYTES, soft).labels is soft
    with pytest.raises(InputError, match="4 images and 3 labels"):
        Split(BYTES, np.arange(3))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rounding_beyond_the_range_is_clipped(kind: type) -> None:
    above = np.nextafter(np.float32(1), np.float32(2))
    x: Array = np.array([[0.0, 0.25, above], [-1e-7, 1.0, 1.0000001]], kind)
    found = check_pixels(x)
    assert found.dtype == np.float32 and found.min() == 0.0 and found.max() == 1.0
    np.testing.assert_array_equal(found[0, :2], np.array([0.0, 0.25], np.float32))


@pytest.mark.parametrize("value", [1.00001, -0.00001, 255.0])
def test_more_than_rounding_is_refused_and_shown(value: float) -> None:
    with pytest.raises(InputError, match="have values from ") as caught:
        check_pixels(np.array([0.5, value]))
    assert f"{value:g}" in str(caught.value)


def test_values_that_are_refused_are_shown_with_their_digits() -> None:
    with pytest.raises(InputError, match=r"from -1\.0000001 to 0; divide bytes by 255"):
        check_inputs(np.array([[[[0.0]], [[-1.0000001]]]], np.float32), (2, 1, 1))
