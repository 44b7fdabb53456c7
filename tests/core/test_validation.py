"""Checks of arguments."""

import numpy as np
import pytest

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_inputs, check_pixels


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rounding_beyond_the_range_is_clipped(kind: type) -> None:
    above = np.nextafter(np.float32(1), np.float32(2))
    x: Array = np.array([[0.0, 0.25, above], [-1e-7, 1.0, 1.0000001]], kind)
    found = check_pixels(x)
    assert found.dtype == np.float32 and found.min() == 0.0 and found.max() == 1.0
    np.testing.assert_array_equal(found[0, :2], np.array([0.0, 0.25], np.float32))


@pytest.mark.parametrize("value", [1.00001, -0.00001, 255.0])
def test_more_than_rounding_is_refused_and_shown(value: float) -> None:
    with pytest.raises(InputError, match=r"pixels in \[0, 1\], got values from ") as caught:
        check_pixels(np.array([0.5, value]))
    assert f"{value:g}" in str(caught.value)


def test_values_that_are_refused_are_shown_with_their_digits() -> None:
    with pytest.raises(InputError, match=r"from -1\.0000001 to 0; divide bytes by 255"):
        check_inputs(np.array([[[[0.0]], [[-1.0000001]]]], np.float32), (2, 1, 1))
