"""How commands handle their command line: invalid input prints one line and exits with status 2."""

import inspect
import pathlib
import sys
from collections.abc import Callable, Sequence

import keras
from absl import flags

from tf_deepbayes.cli.help import HelpFlag, group
from tf_deepbayes.core import devices
from tf_deepbayes.core.errors import InputError, TrainingDivergedError, WorkerLostError
from tf_deepbayes.evaluation.batch_store import AttackStoppedError

FLAGS = flags.FLAGS
PRECISION_FLAGS = ("jit_compile", "mixed_precision")
default_runs = pathlib.Path("runs")  # the folder of all runs unless --runs says otherwise


def run(
    main: Callable[[Sequence[str]], None],
    define_flags: Callable[[], None],
    argv: Sequence[str] | None = None,
    about: str | None = None,
) -> None:
    """Define the flags, parse the command line and run `main(positional arguments)`.

    Args:
        argv: the program and its arguments; None: `sys.argv`.
        about: the help text above the flags; None: the docstring of main's module.
    """
    others = set(FLAGS)
    define_flags()
    if about is None:
        about = inspect.getdoc(inspect.getmodule(main)) or ""
    flags.DEFINE_flag(HelpFlag(about, [name for name in FLAGS if name not in others]))
    _guarded(main, _parse(sys.argv if argv is None else argv)[1:])


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
    except (AttackStoppedError, TrainingDivergedError, WorkerLostError) as error:
        print(f"stopped: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def define_precision_flags() -> None:
    """How, not what, the networks compute."""
    with group("Computing"):
        flags.DEFINE_bool("jit_compile", False, "compile the networks with XLA")
        flags.DEFINE_bool("mixed_precision", False, "networks in bfloat16, densities in float32")


def define_devices_flag() -> None:
    """The flag for several devices, for apps that can use them."""
    with group("Computing"):
        flags.DEFINE_integer(
            "devices", None, "GPUs to use (default: all); without GPUs, parts of the CPU"
        )


def define_runs_flag() -> None:
    """The folder in which runs are found by name."""
    flags.DEFINE_string("runs", None, f"folder of all runs (default: {default_runs})")


def precision_settings() -> dict[str, bool]:
    """The precision flags in use, for a result's settings."""
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


def expect_flags_only(arguments: Sequence[str]) -> None:
    """Refuse positional arguments."""
    if arguments:
        raise InputError(f"expected flags only, got {list(arguments)}")


def expect_victim(arguments: Sequence[str]) -> str:
    """The name given by --victim, which is required; positional arguments are refused."""
    if arguments or not FLAGS.victim:
        raise InputError(f"expected --victim and flags only, got {list(arguments)}")
    return FLAGS.victim


def given_or(given: str | None, default: pathlib.Path) -> pathlib.Path:
    """The path that a flag gives, or the default."""
    return pathlib.Path(given) if given else default


def runs_folder() -> pathlib.Path:
    """The folder of --runs, or the default one."""
    return given_or(FLAGS.runs if "runs" in FLAGS else None, default_runs)


def project_runs(app_file: str, given: str | None = None) -> pathlib.Path:
    """The given folder, or `runs` next to an app's folder, whatever the current folder is."""
    return given_or(given, pathlib.Path(app_file).resolve().parents[1] / "runs")
