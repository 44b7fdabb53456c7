"""Keep TensorFlow's native start-up log off the terminal."""

import os


def import_tensorflow_quietly() -> None:
    """Import TensorFlow with its C++ log hidden, unless TF_CPP_MIN_LOG_LEVEL says otherwise.

    Its libraries print lines about CPU features and missing GPUs while they load, before any
    setting reaches them. Errors of the import itself are Python exceptions and still show.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow as tf

        tf.config.list_physical_devices()  # looks for GPUs, and says so when there is none
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
