"""Apps in processes that are forked from one that has imported TensorFlow already.

An app starts in a tenth of a second instead of five, so that many command lines can be tried.
"""

import json
import multiprocessing
import multiprocessing.process
import os
import pathlib
import runpy
import sys
import tempfile
from collections.abc import Callable, Sequence

# The server reads this when it starts: no notes on the processor among an app's own lines.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

ROOT = pathlib.Path(__file__).resolve().parents[1]
PRELOADED = (
    "tests.forked_app",
    "tf_deepbayes.attacks",
    "tf_deepbayes.training",
    "tf_deepbayes.export",
)
TIME_LIMIT = 120.0  # seconds; an app that takes longer took nonsense for a wish

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(PRELOADED))


class Done:
    """How an app ended: `status` and what it printed."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status, self.stdout, self.stderr = status, stdout, stderr


def run_app(script: str, arguments: Sequence[object], folder: pathlib.Path) -> Done:
    """Run an app in `folder`, as `python <script> <arguments>` would."""
    return _forked(_app, folder, script, [str(a) for a in arguments])


def flag_types(script: str) -> dict[str, str]:
    """The flags that an app defines, and the names of their types."""
    with tempfile.TemporaryDirectory() as name:
        return json.loads(_forked(_describe, pathlib.Path(name), script, []).stdout)


def _forked(
    target: Callable[..., None], folder: pathlib.Path, script: str, argv: list[str]
) -> Done:
    with tempfile.TemporaryDirectory() as name:
        out, err = pathlib.Path(name) / "stdout", pathlib.Path(name) / "stderr"
        process = _context.Process(target=_child, args=(target, folder, out, err, script, argv))
        process.start()
        process.join(TIME_LIMIT)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"{script} {argv} still ran after {TIME_LIMIT:.0f} s")
        return Done(process.exitcode, out.read_text(), err.read_text())


def _child(
    target: Callable[..., None],
    folder: pathlib.Path,
    out: pathlib.Path,
    err: pathlib.Path,
    script: str,
    argv: list[str],
) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), descriptor)
    os.chdir(folder)
    target(script, argv)


def _app(script: str, argv: list[str]) -> None:
    sys.argv = [str(ROOT / script), *argv]
    runpy.run_path(sys.argv[0], run_name="__main__")


def _describe(script: str, argv: list[str]) -> None:
    from absl import flags

    before = set(flags.FLAGS)
    runpy.run_path(str(ROOT / script))["define_flags"]()
    new = set(flags.FLAGS) - before
    print(json.dumps({name: flags.FLAGS[name].flag_type() for name in sorted(new)}), flush=True)
