"""Runs the commands of benchmark/fixed_seed, which starts it with another checkout's library.

That library may have other modules than this checkout's, so that nothing here names one. Every
command is in a process forked from this one, which has imported the library and not used it: it
starts in a tenth of a second instead of five.
"""

import importlib
import json
import multiprocessing
import os
import pathlib
import pkgutil
import runpy
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

LOGS = pathlib.Path("logs")  # what each command prints


def import_library(code: pathlib.Path) -> None:
    """Import all of the library, which has to be the checkout's own, not one that is installed."""
    library = importlib.import_module("tf_deepbayes")
    if not pathlib.Path(library.__path__[0]).is_relative_to(code):
        sys.exit(f"error: expected the library of {code}, found {library.__path__[0]}")
    for module in pkgutil.walk_packages(library.__path__, "tf_deepbayes."):
        if module.name.endswith((".__main__", ".checkpoints")):
            continue
        importlib.import_module(module.name)


def run(script: pathlib.Path, arguments: Sequence[str], log: pathlib.Path) -> None:
    """What `python script arguments` does, in the process of a command."""
    target = os.open(log, os.O_CREAT | os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(target, descriptor)
    sys.argv, sys.path[0] = [str(script), *arguments], str(script.parent)
    runpy.run_path(str(script), run_name="__main__")


class Stage:
    """Commands that may run at once.

    Args:
        code: the checkout whose scripts they name.
        commands: of each the script and its arguments.
    """

    def __init__(self, code: pathlib.Path, commands: Sequence[Sequence[str]]) -> None:
        self.code, self.left = code, list(commands)
        self.running: dict[int, tuple[BaseProcess, str, pathlib.Path, float]] = {}

    def start(self) -> None:
        """Start the next command."""
        script, *arguments = self.left.pop(0)
        text = " ".join([script, *arguments])
        log = LOGS / f"{len(list(LOGS.iterdir())):03}.txt"
        log.touch()
        context = multiprocessing.get_context("fork")
        process = context.Process(target=run, args=(self.code / script, arguments, log))
        process.start()
        self.running[process.sentinel] = process, text, log, time.monotonic()

    def finish(self) -> None:
        """Wait for a command; stop all of them when it has failed."""
        for sentinel in wait(list(self.running)):
            process, text, log, started = self.running.pop(sentinel)  # type: ignore[arg-type]
            process.join()
            if process.exitcode:
                self.stop()
                sys.stderr.write(log.read_text())
                sys.exit(f"error: status {process.exitcode} of {text}")
            print(f"{time.monotonic() - started:4.0f} s  {text}", flush=True)

    def stop(self) -> None:
        """End the commands that still run."""
        for process, *_ in self.running.values():
            process.terminate()
            process.join()

    def run(self, at_once: int) -> None:
        """Run all of them, so many at once."""
        while self.left or self.running:
            while self.left and len(self.running) < at_once:
                self.start()
            self.finish()


def main() -> None:
    """Run the stages that standard input holds as JSON, one after another."""
    del sys.path[0]  # this file's folder
    sys.path.insert(0, str(pathlib.Path.cwd()))
    order = json.load(sys.stdin)
    code = pathlib.Path(order["code"])
    import_library(code)
    LOGS.mkdir()
    for commands in order["stages"]:
        Stage(code, commands).run(order["at_once"])


if __name__ == "__main__":
    main()
