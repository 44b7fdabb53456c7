"""What Keras and TensorFlow are set to before they are imported: folder, backend, kernels."""

import contextlib
import json
import os
import pathlib
import sys
import tempfile

from tf_deepbayes.core.errors import InputError

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def keras_home() -> pathlib.Path:
    """Where Keras keeps its settings and data sets, also where nobody has a home."""
    if given := os.environ.get("KERAS_HOME"):
        return pathlib.Path(given)
    try:
        return pathlib.Path.home() / ".keras"
    except RuntimeError:
        return pathlib.Path(tempfile.gettempdir()) / ".keras"  # as Keras does


def check_backend() -> None:
    """InputError where Keras is set to another backend than TensorFlow, by itself or keras.json."""
    home, name = keras_home(), os.environ.get("KERAS_BACKEND")
    with contextlib.suppress(OSError, ValueError, AttributeError):
        name = name or json.loads((home / "keras.json").read_text()).get("backend")
    if name not in (None, "", "tensorflow"):
        raise InputError(
            f"Keras is set to the backend {name!r}, by KERAS_BACKEND or {home}/keras.json; "
            "tf_deepbayes needs tensorflow: set KERAS_BACKEND=tensorflow before Python starts"
        )


def choose_kernels() -> None:
    """oneDNN's kernels on every CPU, unless the user has chosen.

    TensorFlow itself takes them only on processors with VNNI; on others they differentiate our
    convolutions 1.4 times as fast. It reads the setting while it is imported, and when set later
    some operations have it and others do not, which gains nothing.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(ONEDNN, "1")
