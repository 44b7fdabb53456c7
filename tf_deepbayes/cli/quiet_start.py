"""Keep TensorFlow's start-up log and notes off the terminal: for apps, before other imports."""

import contextlib
import logging
import os
from collections.abc import Iterator

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # 3, the quietest, is what apps set when it is not set


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Import TensorFlow with its log hidden, then run the block, which may import what uses it.

    Its libraries print lines about CPU features and missing GPUs while they load, before any
    setting reaches them. Errors of the import itself are Python exceptions and still show.
    With TF_CPP_MIN_LOG_LEVEL below 3 nothing is hidden.
    """
    if os.environ.setdefault(LOG_LEVEL, "3") == "3":
        # Also where an app started this one: hidden lines are not all subject to the level.
        _import_tensorflow_silently()
        # Python's side: notes on retracing, and on how devices add up gradients.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    yield


def _import_tensorflow_silently() -> None:
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow as tf

        tf.config.list_physical_devices()  # looks for GPUs, and says so when there is none
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
