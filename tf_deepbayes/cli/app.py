"""What every app does with its command line: bad input is one line and exit status 2."""

import pathlib
import sys
from collections.abc import Callable, Sequence

import keras
from absl import app, flags

from tf_deepbayes.core import devices
from tf_deepbayes.core.errors import InputError, TrainingDivergedError, WorkerLostError

FLAGS = flags.FLAGS
PRECISION_FLAGS = ("jit_compile", "mixed_precision")


def run(main: Callable[[Sequence[str]], None], define_flags: Callable[[], None]) -> None:
    """Define the flags, parse the command line and run `main(positional arguments)`."""
    others = set(flags.FLAGS)
    define_flags()
    for name in set(flags.FLAGS) - others:  # --help shows these, whichever file defines them
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
    app.run(lambda argv: _guarded(main, argv[1:]), flags_parser=_parse)


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        return FLAGS(argv)
    except flags.Error as error:
        fail(str(error))
    return []


def _guarded(main: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> None:
    devices.prepare_gpus()
    if "mixed_precision" in FLAGS and FLAGS.mixed_precision:
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        main(arguments)
    except InputError as error:
        fail(str(error))
    except OSError as error:
        advice = "change its owner" if isinstance(error, PermissionError) else "repair it"
        fail(f"cannot use {error.filename}: {error.strerror}; {advice} or give another")
    except (TrainingDivergedError, WorkerLostError) as error:
        print(f"stopped: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def define_precision_flags() -> None:
    """How, not what, the networks compute."""
    flags.DEFINE_bool("jit_compile", False, "compile the networks with XLA")
    flags.DEFINE_bool("mixed_precision", False, "networks in bfloat16, densities in float32")


def define_devices_flag() -> None:
    """Several devices, where an app has something to share out."""
    flags.DEFINE_integer("devices", None, "GPUs to use (default: all); without GPUs parts of a CPU")


def precision_settings() -> dict[str, bool]:
    """The precision flags that are on, for a result's settings."""
    return {name: True for name in PRECISION_FLAGS if FLAGS[name].value}


def fail(message: str) -> None:
    """Print one line and exit with status 2."""
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)


def one_argument(arguments: Sequence[str], what: str) -> str:
    """The only positional argument."""
    if len(arguments) != 1:
        raise InputError(f"expected one argument, {what}, got {len(arguments)}: {list(arguments)}")
    return arguments[0]


def project_runs(app_file: str, given: str | None = None) -> pathlib.Path:
    """The folder given, or `runs` beside an app's folder, whatever the current folder is."""
    return pathlib.Path(given) if given else pathlib.Path(app_file).resolve().parents[1] / "runs"
