"""The entry point of all commands: `deepbayes COMMAND`, and scripts such as train/vae.py."""

import importlib
import pathlib
import sys
from typing import NamedTuple

from tf_deepbayes.cli.process import limit_threads, orderly_end, quiet_start
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.keras_config import check_backend

PROGRAM = "deepbayes"
HELP = ("-h", "--help", "help")


class Command(NamedTuple):
    """A command: a one-line summary, its module in `commands`, its functions there."""

    summary: str
    module: str
    takes: str = ""
    main: str = "main"
    define_flags: str = "define_flags"


COMMANDS = {
    "train": Command("train a deep Bayes classifier or a baseline", "train", "MODEL"),
    "attack": Command("attack a run with one attack, at one or more sizes", "attack"),
    "evaluate": Command("evaluate a run's robustness with a set of attacks", "evaluate"),
    "substitute": Command("train a substitute of a run, for transfer attacks", "substitute"),
    "detect": Command("detect a saved attack", "detect"),
    "export": Command("export a run as a SavedModel or ONNX model", "export", "RUN"),
    "import-checkpoint": Command(
        "import a published checkpoint as a run",
        *("checkpoints", "FILE", "import_checkpoint", "define_import_flags"),
    ),
    "export-checkpoint": Command(
        "export a run as a published checkpoint",
        *("checkpoints", "RUN", "export_checkpoint", "define_export_flags"),
    ),
    "extract-index": Command("list the test images a run classifies correctly", "extract_index"),
    "train-vgg": Command("train the VGG16 whose features are classified", "fusion.vgg"),
    "adaptive": Command("attack a fusion model as it was broken, and compare", "fusion.adaptive"),
    "report": Command("print the results of runs as tables", "report"),
}


def main(command: str) -> None:
    """Run a command for a script of the project; `runs` is next to the script's folder."""
    script = pathlib.Path(sys.argv[0])
    with orderly_end():
        run(command, f"python {script}", sys.argv, script.resolve().parents[1] / "runs")


def deepbayes() -> None:
    """Run the command named on the command line; runs are in `runs` in the current folder."""
    with orderly_end():
        _run_named(*sys.argv[1:])


def _run_named(name: str = "", *arguments: str) -> None:
    if name in HELP:
        print(overview())
    elif name not in COMMANDS:
        what = f"unknown command {name!r}" if name else "expected a command"
        raise InputError(f"{what}; choose one of {', '.join(COMMANDS)}")
    else:
        program = f"{PROGRAM} {name}"
        run(name, program, [program, *arguments], pathlib.Path("runs"))


def run(name: str, program: str, argv: list[str], runs: pathlib.Path) -> None:
    """Import a command without TensorFlow's start-up log and run it.

    Args:
        program: how it was called, for its help.
        argv: the program and its arguments.
        runs: the default folder of all runs.
    """
    check_backend()
    limit_threads(argv)
    with quiet_start():
        from tf_deepbayes.cli import app

        command = COMMANDS[name]
        module = importlib.import_module(f"tf_deepbayes.cli.commands.{command.module}")
    app.default_runs = runs
    usage = " ".join(filter(None, [program, command.takes, "[flags]"]))
    text = (module.__doc__ or "").replace(f"{PROGRAM} {name}", program)
    work, own_flags = getattr(module, command.main), getattr(module, command.define_flags)

    def define_flags() -> None:
        app.define_threads_flag()
        own_flags()

    app.run(work, define_flags, argv, f"usage: {usage}\n\n{text}")


def overview() -> str:
    """Every command with its summary."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    head = f"usage: {PROGRAM} COMMAND [arguments] [flags]\n\nDeep Bayes classifiers. Commands:\n"
    return "\n".join([head, *lines, "", f"{PROGRAM} COMMAND --help lists the flags of a command."])
