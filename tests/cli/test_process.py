"""How commands end: at most one line, the right status, and characters that a terminal knows."""

import ast
import errno
import io
import os
import pathlib
import subprocess
import sys

import pytest

from tests.cli.conftest import RUN
from tests.conftest import ROOT, app_environment
from tf_deepbayes.cli import process
from tf_deepbayes.core.errors import InputError, StopRequested, TrainingDivergedError


def noted(error: OSError, note: str) -> OSError:
    """With a note on what to do."""
    error.add_note(note)
    return error


ENDS: list[tuple[BaseException, int, str]] = [
    (InputError("expected\nthis"), 2, "error: expected this\n"),
    (TrainingDivergedError("not finite"), 1, "stopped: not finite\n"),
    (StopRequested(), 143, "stopped: on request (SIGTERM); run the same command again\n"),
    (StopRequested("all is kept"), 143, "stopped: on request (SIGTERM); all is kept; run the same"),
    (KeyboardInterrupt(), 130, ""),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
    (
        OSError(errno.ENOSPC, "No space left", "a/file"),
        2,
        "error: cannot use a/file: No space left",
    ),
    (OSError(errno.EROFS, "Read-only file system", "x"), 2, "error: cannot use x: Read-only file"),
    (OSError(errno.EIO, "Input/output error"), 2, "error: cannot use the output: Input/output"),
    (OSError("only words"), 2, "error: cannot use the output: only words; repair it"),
    (noted(OSError(errno.ENOSPC, "Full", "x"), "resume"), 2, "error: cannot use x: Full; resume\n"),
]


@pytest.mark.parametrize(("error", "status", "line"), ENDS)
def test_a_command_ends_with_a_line_or_none(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end, process.orderly_end():
        raise error
    shown = capsys.readouterr().err
    assert end.value.code == status and shown.startswith(line) and shown.count("\n") == bool(line)


OVERVIEW = "from tf_deepbayes.cli.start import deepbayes; deepbayes()"


@pytest.mark.parametrize(("out", "status"), [("closed", 141), ("/dev/full", 2)])
def test_output_that_cannot_be_written(out: str, status: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    if out != "closed":
        writer = os.open(out, os.O_WRONLY)
    done = subprocess.run(
        [sys.executable, "-c", OVERVIEW, "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    os.close(writer)
    assert done.returncode == status and len(done.stderr.splitlines()) == (status == 2)


def test_a_reader_of_the_results_that_goes(sound: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """As in `attack … | head -1`."""
    command = [
        sys.executable,
        ROOT / "attack" / "attack.py",
        "--victim",
        sound / RUN,
    ]
    few = [
        "--data",
        sound / "digits.npz",
        "--num_images",
        "2",
        "--num_samples",
        "2",
        "--eval_draws",
        "1",
        "--nosave",
    ]
    with subprocess.Popen(
        [str(c) for c in [*command, *few, "--eps", "0,0.01,0.02", "--name", "piped"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=app_environment(str(tmp_path)),
    ) as app:
        assert app.stdout and app.stdout.readline().startswith("DBX on digits")
        app.stdout.close()
        assert app.stderr and app.stderr.read() == ""
    assert app.returncode == 141


def ascii_terminal(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """What a terminal that knows ASCII alone is sent."""
    seen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(seen, encoding="ascii"))
    return seen


def test_a_terminal_that_knows_ascii_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = ascii_terminal(monkeypatch)
    with process.orderly_end():
        print("success – of the l∞ ball, A … G: 2³¹ − 1, file \udce9.npz, é")
    text = seen.getvalue().decode("ascii")
    assert text == "success - of the linf ball, A ... G: 2^31 - 1, file \\udce9.npz, \\xe9\n"


def printed_strings() -> str:
    """All strings of the library and the apps that are no docstrings, and the commands' help."""
    found = []
    for path in [*(ROOT / "tf_deepbayes").rglob("*.py"), *(ROOT / "reproduce").glob("*.py")]:
        tree = ast.parse(path.read_text())
        nodes = [
            n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.FunctionDef | ast.ClassDef)
        ]
        docs = {id(n.body[0].value) for n in nodes if n.body and isinstance(n.body[0], ast.Expr)}
        strings = [n for n in ast.walk(tree) if isinstance(n, ast.Constant)]
        found += [s.value for s in strings if id(s) not in docs and isinstance(s.value, str)]
        if path.parent.name == "commands":
            found.append(ast.get_docstring(tree) or "")
    return "".join(found)


def test_every_character_that_is_printed_has_an_ascii_form() -> None:
    unknown = {c for c in printed_strings() if not c.isascii()} - set(process.IN_ASCII)
    assert not unknown
    assert all(form.isascii() for form in process.IN_ASCII.values())


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--threads", "3"], "3"),
        (["--threads=2", "--eps", "0.1"], "2"),
        (["--threads", "many"], None),
        (["--eps", "0.1"], None),
    ],
)
def test_threads_are_limited_before_tensorflow_starts(
    flags: list[str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {})  # what later tests start has the threads it had
    process.limit_threads(["deepbayes attack", *flags])
    assert {os.environ.get(name) for name in process.THREADS} == {expected}


def test_a_process_has_as_many_threads_as_it_may(tmp_path: pathlib.Path) -> None:
    """The count while TensorFlow computes: two pools of one, and what Python itself has."""
    code = (
        "import sys; sys.argv[1:] = ['report', '--threads', '1', '--runs', 'none']\n"
        "from tf_deepbayes.cli import deepbayes\n"
        "try: deepbayes()\n"
        "except SystemExit: pass\n"
        "import tensorflow as tf; tf.linalg.matmul(tf.ones([900, 900]), tf.ones([900, 900]))\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads())\n"
        "import os; print(os.environ['TF_NUM_INTRAOP_THREADS'], len(os.listdir('/proc/self/task')))"
    )
    environment = {**app_environment(str(tmp_path)), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    limited, threads = done.stdout.split()[-2:]
    assert limited == "1" and int(threads) <= 6, done
