"""How commands handle their command line, and the flags that they share."""

import inspect
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
from absl import flags

from tf_deepbayes.cli.help import HelpFlag, group
from tf_deepbayes.cli.process import orderly_end
from tf_deepbayes.core import devices
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import named
from tf_deepbayes.core.progress import listen_for_signals
from tf_deepbayes.evaluation.parts import Part
from tf_deepbayes.runs.state.done import write_done

FLAGS = flags.FLAGS
OF_TRAINING = ("features", "layer")  # flags that commands on runs are often given, too
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
    own = [name for name in FLAGS if name not in others]
    flags.DEFINE_flag(HelpFlag(about, own))
    with orderly_end():
        listen_for_signals()
        arguments = _parse(sys.argv if argv is None else argv, own)
        devices.prepare_gpus()
        if "mixed_precision" in FLAGS and FLAGS.mixed_precision:
            keras.config.set_dtype_policy("mixed_bfloat16")
        main(arguments)


def _parse(argv: Sequence[str], names: Sequence[str]) -> list[str]:
    """Read the flags of these names; the positional arguments, which may be paths."""
    try:
        arguments = [expand(argument) for argument in FLAGS(argv)[1:]]
    except flags.UnrecognizedFlagError as error:
        if error.flagname in OF_TRAINING:
            raise InputError(
                "--layer and --features are of training; the run knows its own"
            ) from None
        raise InputError(str(error)) from None
    except flags.Error as error:
        raise InputError(str(error)) from None
    given = {f"--{name}": FLAGS[name].value for name in names if FLAGS[name].present}
    for name, value in [*given.items(), *(("an argument", value) for value in arguments)]:
        if value in ("", []) or (isinstance(value, list) and "" in value):
            raise InputError(f"{name} is empty, perhaps an unset variable; give a value or none")
    return arguments


def expand(path: str) -> str:
    """A path with the home for `~`, and absolute if it would not end in a name, such as `.`."""
    try:
        found = pathlib.Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"no home folder is known for {path}; give the whole path") from None
    return str(named(found)) if path and (path[0] == "~" or named(found) != found) else path


class PathParser(flags.ArgumentParser):
    """See `expand`."""

    def parse(self, argument: str) -> str:
        return expand(argument)


class PathsParser(flags.ListParser):
    """Paths separated by commas."""

    def parse(self, argument: Any) -> list[str]:
        return [expand(path) for path in super().parse(argument)]


class SizeParser(flags.ArgumentParser):
    """A number, or a fraction such as 8/255."""

    def parse(self, argument: str | float) -> float:
        top, *bottom = str(argument).split("/")
        try:
            (divisor,) = map(float, bottom or ["1"])
            return float(top) / divisor
        except (ValueError, ZeroDivisionError):
            raise ValueError(
                f"expected a number, or a fraction such as 8/255, got {argument!r}"
            ) from None


class SizesParser(flags.ListParser):
    """Sizes separated by commas."""

    def parse(self, argument: Any) -> list[float]:
        return [SizeParser().parse(size) for size in super().parse(argument)]


class PartParser(flags.ArgumentParser):
    """A part of a divided result, see `Part`."""

    def parse(self, argument: str | Part) -> Part:
        try:
            return Part.parse(str(argument))
        except InputError as error:
            raise ValueError(str(error)) from None


class NameParser(flags.ArgumentParser):
    """The name of a file that is written into a run, without folders."""

    def parse(self, argument: str) -> str:
        if argument == ".." or pathlib.PurePath(argument).name != argument:
            raise ValueError(f"expected a name without folders, got {argument!r}")
        return argument


class NamesParser(flags.ListParser):
    """Such names, separated by commas."""

    def parse(self, argument: Any) -> list[str]:
        return [NameParser().parse(name) for name in super().parse(argument)]


def define_path(name: str, default: str | None, help_text: str) -> None:
    """A flag that takes a path, or a name where a path may stand."""
    flags.DEFINE(PathParser(), name, default, help_text)


def define_precision_flags() -> None:
    """How, not what, the networks compute."""
    with group("Computing"):
        flags.DEFINE_bool("jit_compile", False, "compile the networks with XLA")
        flags.DEFINE_bool("mixed_precision", False, "networks in bfloat16, densities in float32")


def define_threads_flag() -> None:
    """The flag that `process.limit_threads` has read before TensorFlow was imported."""
    with group("Computing"):
        text = "threads to compute with (default: one a core)"
        flags.DEFINE_integer("threads", None, text, lower_bound=1)


def define_part_flags(what: str) -> None:
    """The flags that divide a result among processes; `part_given` reads them."""
    flags.DEFINE(PartParser(), "part", None, f"do only part I of N of {what}, such as 2/7")
    flags.DEFINE_bool("merge", False, "make the result from its parts, all of which are done")


def define_done_flag() -> None:
    """The flag for a file that a workflow engine waits for."""
    define_path("done", None, "small JSON to write last, which names the results")


def done(results: Sequence[pathlib.Path]) -> None:
    """Write the file of --done, if there is one."""
    if FLAGS.done:
        write_done(pathlib.Path(FLAGS.done), results)


def part_given() -> Part | None:
    """The part to do; None for the whole result or its merge."""
    if FLAGS.part and FLAGS.merge:
        raise InputError("--part does a part and --merge joins them all; leave one out")
    return FLAGS.part


def define_devices_flag() -> None:
    """The flag for several devices, for apps that can use them."""
    with group("Computing"):
        flags.DEFINE_integer(
            "devices", None, "GPUs to use (default: all); without GPUs, parts of the CPU"
        )


def define_runs_flag() -> None:
    """The folder in which runs are found by name."""
    define_path("runs", None, f"folder of all runs (default: {default_runs})")


def precision_settings() -> dict[str, bool]:
    """The precision flags in use, for a result's settings."""
    return {name: True for name in PRECISION_FLAGS if FLAGS[name].value}


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
