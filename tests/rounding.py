"""Numbers that may differ by the rounding of sums in another order."""

from typing import Any

import numpy as np


def assert_close(found: Any, expected: Any, relative: float = 1e-5, err_msg: str = "") -> None:
    """Equal within `relative` of the largest value.

    A log weight is a sum of terms of both signs: where it happens to be close to 0, the rounding
    of the terms remains, and a tolerance relative to each single value would depend on luck.
    """
    expected = np.asarray(expected)
    tolerance = relative * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=err_msg)
