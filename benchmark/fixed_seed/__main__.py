"""Results that must stay bit-equal: python -m benchmark.fixed_seed FOLDER --against OTHER_FOLDER.

Runs a fixed set of commands with fixed seeds on mnist_5k and writes all runs and results into
FOLDER, which must be new. With --code they are the commands of another checkout, such as one from
before a change. With --against every result is then compared bit for bit with that of the other
folder: a line for each difference, and exit status 1 if there is one; --norun compares only. Both
folders must come from one machine and the same libraries: others round differently.
"""

import csv
import json
import os
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from benchmark.fixed_seed.commands import APPS, STAGES
from tf_deepbayes.cli import app
from tf_deepbayes.core.array_pickle import read_array_pickle
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import digest, read_arrays, read_json
from tf_deepbayes.core.validation import check_count

FLAGS = flags.FLAGS
ROOT = pathlib.Path(__file__).resolve().parents[2]
# Several threads may add up their parts in the order in which they are done.
ENVIRONMENT = {
    **{f"TF_NUM_{kind}OP_THREADS": "1" for kind in ("INTRA", "INTER")},
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS")},
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

# Not results, by a part of their path: logs, with dates and times; SavedModels, whose bytes change
# from one writing to the next (their answers are compared instead); what a substitute asked its
# victim, whose files may have other names (it decides the substitute's weights).
NO_RESULTS = {"logs", "tensorboard", "saved_model.pb", "fingerprint.pb", "variables", "answers"}
# Left out of JSON and CSV: what may be written differently (settings, also those of the attacks in
# an evaluation's rows), and what no two runs share.
NOT_COMPARED = {"settings", "attack", "fitted", "provenance", "versions", "seconds"}


def define_flags() -> None:
    """Whose commands are run, and what they are compared with."""
    flags.DEFINE_string("code", str(ROOT), "checkout whose commands are run")
    flags.DEFINE_string("python", sys.executable, "interpreter that runs them")
    flags.DEFINE_string("against", None, "folder of an earlier run to compare with")
    flags.DEFINE_bool("run", True, "run the commands; without, compare two folders")
    flags.DEFINE_integer("at_once", 2, "commands run at once")


def parsed(command: str) -> list[str]:
    """Script and arguments."""
    name, *own = shlex.split(command)
    return [*shlex.split(APPS[name]), *own]


def run_all(folder: pathlib.Path) -> None:
    """Run all commands, then call all exported models."""
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; give a new folder, or pass --norun")
    folder.mkdir(parents=True, exist_ok=True)
    code = str(pathlib.Path(FLAGS.code).resolve())
    stages = [[parsed(command) for command in stage.strip().splitlines()] for stage in STAGES]
    order = {"code": code, "stages": stages, "at_once": check_count("at_once", FLAGS.at_once)}
    done = subprocess.run(
        [FLAGS.python, str(pathlib.Path(__file__).with_name("runner.py"))],
        input=json.dumps(order),
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": code},
    )
    if done.returncode:
        sys.exit(done.returncode)
    for path in folder.glob("exports/*/saved_model.pb"):
        np.savez(path.parent.with_suffix(".npz"), **answer(path.parent))  # type: ignore[arg-type]


def answer(export: pathlib.Path) -> dict[str, Array]:
    """What each signature of an exported model says to the same inputs, by signature and output."""
    pixels = np.random.default_rng(1).integers(0, 256, (5, 28, 28, 1))
    given = {"x": pixels, "seed": 5, "labels": np.arange(5)}
    found: dict[str, Array] = {}
    with tf.device("/CPU:0"):
        for name, signature in tf.saved_model.load(str(export)).signatures.items():
            specs = signature.structured_input_signature[1]
            inputs = {n: tf.constant(given[n], spec.dtype) for n, spec in specs.items()}
            if specs.get("x") is not None and specs["x"].dtype.is_floating:
                inputs["x"] /= 255.0
            found |= {f"{name}/{n}": v.numpy() for n, v in signature(**inputs).items()}
    return found


def results_in(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The files to compare, by their path in the folder."""
    paths = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {str(n): path for n, path in sorted(paths.items()) if not NO_RESULTS & set(n.parts)}


def leaves(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """(path of keys, value) of what JSON holds."""
    items = enumerate(content) if isinstance(content, list) else ()
    for name, value in content.items() if isinstance(content, dict) else items:
        if name not in NOT_COMPARED:
            yield from leaves(value, f"{key}/{name}" if key else str(name))
    if not content or not isinstance(content, dict | list):
        yield key, content


def values(path: pathlib.Path) -> dict[str, Any]:
    """What is compared of a file, by key."""
    if path.suffix == ".npz":
        return read_arrays(path, "run again")
    if path.suffix == ".pkl":
        return read_array_pickle(path)
    if path.suffix == ".json":
        return dict(leaves(read_json(path)))
    if path.suffix == ".csv":
        return dict(leaves(list(csv.DictReader(path.read_text().splitlines()))))
    return {"bytes": digest(np.frombuffer(path.read_bytes(), np.uint8))}


def difference(found: Any, expected: Any) -> str | None:
    """In what two values differ; None where their bits are the same."""
    if not isinstance(found, np.ndarray) or not isinstance(expected, np.ndarray):
        return None if repr(found) == repr(expected) else f"{found!r}, was {expected!r}"
    if (found.dtype, found.shape) != (expected.dtype, expected.shape):
        now, before = (f"{a.dtype.name} {list(a.shape)}" for a in (found, expected))
        return f"{now}, was {before}"
    if found.tobytes() == expected.tobytes():
        return None
    if found.dtype.kind not in "biuf":
        return "differs"
    largest = np.abs(found.astype(np.float64) - expected.astype(np.float64)).max()
    return f"differs by up to {largest:.3g}"


def differences(folder: pathlib.Path, other: pathlib.Path) -> Iterator[str]:
    """A line for each."""
    found, expected = results_in(folder), results_in(other)
    for name in sorted({*found, *expected}):
        if name not in found or name not in expected:
            yield f"{name}: {'new' if name in found else 'missing'}"
            continue
        now, before = values(found[name]), values(expected[name])
        for key in dict.fromkeys([*now, *before]):
            if key not in now or key not in before:
                yield f"{name}: {key}: {'new' if key in now else 'missing'}"
            elif what := difference(now[key], before[key]):
                yield f"{name}: {key}: {what}"


def main(arguments: Sequence[str]) -> None:
    """Run, compare, and exit with 1 where something differs."""
    folder = pathlib.Path(app.one_argument(arguments, "the folder of the results")).resolve()
    other = pathlib.Path(FLAGS.against).resolve() if FLAGS.against else None
    if other is not None and not results_in(other):
        raise InputError(f"--against {other} holds no results; run it first")
    os.environ.update(ENVIRONMENT)
    if FLAGS.run:
        run_all(folder)
    count = len(results_in(folder))
    if other is None:
        return print(f"{count} files in {folder}")
    found = list(differences(folder, other))
    print("\n".join([*found, f"{count} files compared: {len(found) or 'no'} differences"]))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    app.run(main, define_flags)
