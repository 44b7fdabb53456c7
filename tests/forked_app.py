"""Apps in processes that are forked from one that has imported TensorFlow already.

An app starts in a tenth of a second instead of five, so that many command lines can be tried.
"""

import importlib
import json
import multiprocessing
import os
import pathlib
import re
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]

# What the server imports; it hides TensorFlow's notes on the machine before anything else.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "tests.quiet",
        "tf_deepbayes.attacks",
        "tf_deepbayes.training.train",
        "tf_deepbayes.export.saved_model",
        "tests.forked_app",
    ]
)


def run_app(
    script: str,
    arguments: Sequence[object],
    folder: pathlib.Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """Run an app in `folder`, as `python <script> <arguments>` would.

    Raises:
        TimeoutError: it still runs after so many seconds.
    """
    return _forked(_app, script, [str(a) for a in arguments], folder, environment or {}, timeout)


def start_app(
    script: str,
    arguments: Sequence[object],
    folder: pathlib.Path,
    out: pathlib.Path,
    err: pathlib.Path,
    environment: Mapping[str, str],
) -> BaseProcess:
    """An app that runs in `folder` on its own, with its output in the files `out` and `err`."""
    place = (folder, out, err, dict(environment))
    process = _context.Process(target=_child, args=(_app, script, [*map(str, arguments)], *place))
    process.start()
    return process


def flag_groups(script: str) -> dict[str, str]:
    """The flags that an app defines, and the groups that its help shows them in."""
    return json.loads(_forked(_describe_groups, script, [], ROOT, {}, 60.0).stdout)


def flag_types(script: str) -> dict[str, str]:
    """The flags that an app defines, and the names of their types."""
    return json.loads(_forked(_describe, script, [], ROOT, {}, 60.0).stdout)


def _forked(
    target: Callable[[str, list[str]], None],
    script: str,
    arguments: list[str],
    folder: pathlib.Path,
    environment: Mapping[str, str],
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as name:
        out, err = pathlib.Path(name) / "stdout", pathlib.Path(name) / "stderr"
        place = (folder, out, err, dict(environment))
        process = _context.Process(target=_child, args=(target, script, arguments, *place))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"{script} {arguments} still ran after {timeout:.0f} s")
        texts = (path.read_text() if path.exists() else "" for path in (out, err))
        return subprocess.CompletedProcess([script, *arguments], process.exitcode, *texts)


def _child(
    target: Callable[[str, list[str]], None],
    script: str,
    arguments: list[str],
    folder: pathlib.Path,
    out: pathlib.Path,
    err: pathlib.Path,
    environment: dict[str, str],
) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), descriptor)
    # A shell starts what it leaves in the background with SIGINT ignored, tests and apps alike.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(environment)
    os.chdir(folder)
    target(script, arguments)


def _app(script: str, arguments: list[str]) -> None:
    sys.argv = [str(ROOT / script), *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")


def _defined(script: str) -> list[Any]:
    """The flags that the command of a script defines."""
    from absl import flags

    from tf_deepbayes.cli.start import COMMANDS

    before = set(flags.FLAGS)
    (name,) = re.findall(r'^    main\("([\w-]+)"\)$', (ROOT / script).read_text(), re.MULTILINE)
    module = importlib.import_module(f"tf_deepbayes.cli.commands.{COMMANDS[name].module}")
    getattr(module, COMMANDS[name].define_flags)()
    return [flags.FLAGS[name] for name in sorted(set(flags.FLAGS) - before)]


def _describe(script: str, arguments: list[str]) -> None:
    print(json.dumps({flag.name: flag.flag_type() for flag in _defined(script)}), flush=True)


def _describe_groups(script: str, arguments: list[str]) -> None:
    from tf_deepbayes.cli.help import group_of

    print(json.dumps({flag.name: group_of(flag.name) for flag in _defined(script)}), flush=True)
