"""How the process of a command starts and ends: quietly, and with one line or none.

What it ends with is 0, or 2 for invalid input and files that cannot be used, 1 for work that cannot
go on, and 128 plus the signal as in shells: 130 for Ctrl-C, 141 for a reader of its output that has
gone, 143 for SIGTERM. Nothing here imports TensorFlow, except `quiet_start`.
"""

import codecs
import contextlib
import errno
import io
import itertools
import logging
import os
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

from absl import flags

from tf_deepbayes.core.errors import InputError, StoppedError, StopRequested
from tf_deepbayes.core.keras_config import choose_kernels

THREADS = (  # TensorFlow's, and those of the libraries beneath it and NumPy
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
)
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # 3, the quietest, is what apps set when it is not set
ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room and run it again"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "change its owner or give another"),
    errno.EROFS: "make it writable or give another",
}
# What the project's own messages are in ASCII; other characters, as in names of files, are escaped.
IN_ASCII = {
    **{"–": "-", "—": "-", "−": "-", "…": "...", "→": "->", "×": "x", "·": "*"},
    **{"±": "+-", "≤": "<=", "≥": ">=", "λ": "lambda", "ℓ": "l", "✓": "v", "✗": "x", "◐": "o"},
    # The marks of the report's curves and differences, which only its page shows.
    **{"●": "o", "▲": "^", "▼": "v", "■": "s", "◆": "d", "✚": "+", "✖": "x", "★": "*"},
    **{"ε": "eps", "∞": "inf", "³": "^3", "¹": "1", "\N{COMBINING CIRCUMFLEX ACCENT}": "^"},
    **{"è": "e"},
}


def limit_threads(argv: Sequence[str]) -> None:
    """Set the number of threads that --threads asks for, which TensorFlow reads as it starts.

    A value that is no number is left for the parser of flags to refuse.
    """
    values = [text.partition("=")[2] for text in argv if re.match("--?threads=", text)]
    values += [b for a, b in itertools.pairwise(argv) if a in ("--threads", "-threads")]
    if values and values[-1].isdecimal():
        os.environ.update(dict.fromkeys(THREADS, values[-1]))


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Import TensorFlow with its log hidden, then run the block, which may import what uses it.

    Its libraries print lines about CPU features and missing GPUs while they load, before any
    setting reaches them. Errors of the import itself are Python exceptions and still show; Ctrl-C
    ends the process without a word. With TF_CPP_MIN_LOG_LEVEL below 3 nothing is hidden.
    """
    choose_kernels()
    os.environ["MPLBACKEND"] = "agg"  # a notebook's may not be installed; apps only write files
    try:
        if os.environ.setdefault(LOG_LEVEL, "3") == "3":
            # Also where an app started this one: hidden lines are not all subject to the level.
            _import_tensorflow_silently()
            # Python's side: notes on retracing, and on how devices add up gradients.
            logging.getLogger("tensorflow").setLevel(logging.ERROR)
        yield
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


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


def run_script(script: pathlib.Path, *arguments: str) -> None:
    """Run another app, whose output goes on here; end as it does if it fails.

    A request to stop is passed on to it. It gets a terminal's Ctrl-C by itself.
    """
    app = subprocess.Popen([sys.executable, str(script), *arguments])
    try:
        status = app.wait()
    except StopRequested:
        app.terminate()
        raise
    finally:
        app.wait()
    if status:
        sys.exit(status if status > 0 else 128 - status)


@contextlib.contextmanager
def orderly_end() -> Iterator[None]:
    """Run the block of a command; however it ends, there is at most one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # a file that became a pipe cannot seek
                stream.reconfigure(errors=READABLE)
    try:
        yield
        sys.stdout.flush()
    except InputError as error:
        _end(2, f"error: {error}")
    except StoppedError as error:
        _end(1, f"stopped: {error}")
    except StopRequested as request:
        again = "with --resume" if "resume" in flags.FLAGS else "again"
        kept = f"; {request}" if request.args else ""
        _end(
            128 + signal.SIGTERM,
            f"stopped: on request (SIGTERM){kept}; run the same command {again}",
        )
    except KeyboardInterrupt:
        _end(128 + signal.SIGINT)
    except BrokenPipeError:
        _end(128 + signal.SIGPIPE)
    except OSError as error:
        _end(2, f"error: {_in_words(error)}")
    finally:
        _drop_output()


def _in_words(error: OSError) -> str:
    """What cannot be used, why, and what to do: in the error's notes, where it has any."""
    name = "the output" if error.filename is None else error.filename
    usual = ADVICE.get(error.errno or 0, "repair it or give another")
    advice = "; ".join(getattr(error, "__notes__", [usual]))
    return f"cannot use {name}: {error.strerror or error}; {advice}"


def _end(status: int, line: str = "") -> None:
    with contextlib.suppress(OSError):
        print(" ".join(line.split()), end="\n" if line else "", file=sys.stderr, flush=True)
    sys.exit(status)


def _drop_output() -> None:
    """Forget what cannot be written to stdout: Python would complain about it once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _readable(error: UnicodeError) -> tuple[str | bytes, int]:
    """What to print instead of characters that a terminal does not know."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    error.end = error.start + 1
    known = IN_ASCII.get(error.object[error.start])
    return codecs.backslashreplace_errors(error) if known is None else (known, error.end)


READABLE = "tf_deepbayes.readable"
codecs.register_error(READABLE, _readable)
