"""Time the library against the published formulation: python -m benchmark.bench.

For each model: logits, cross-entropy gradient, PGD steps with and without lazy classes, training
step, and logits of the estimator that needs fewer decodes (a mixture of one draw a class, or where
the decoder needs the class a race of 12 nats), library and reference in turn, medians. Numbers of
both must agree before they are timed, but for these other estimates. The ratio is library /
reference: above 1 the library is faster; steps of PGD are compared with gradients of the reference.
Peak memory is that of a process which makes one call.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from benchmark import measure
from benchmark.memory import peaks
from benchmark.parts import (
    ARCHITECTURES,
    Case,
    all_calls,
    check_agreement,
    counting_shares,
    parts_of,
)
from tf_deepbayes.cli import app
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import write_json
from tf_deepbayes.models import factorisations
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.runs import results

FLAGS = flags.FLAGS
HEADINGS = {
    "logits": "logits",
    "gradient": "gradient",
    "pgd": "PGD",
    "lazy": "lazy PGD",
    "training": "training",
    "mixture": "mixture",
    "race": "race",
}


def define_flags() -> None:
    """What to time."""
    flags.DEFINE_list("models", list(factorisations.FACTORISATIONS), "models to time")
    flags.DEFINE_multi_enum("part", list(HEADINGS), list(HEADINGS), "what; may be repeated")
    flags.DEFINE_enum("sizes", "mnist", list(ARCHITECTURES), "sizes of the networks")
    flags.DEFINE_integer("repeats", 5, "timings of each; the median counts", lower_bound=1)
    flags.DEFINE_integer("batch_size", 100, "images of logits and gradient", lower_bound=1)
    flags.DEFINE_integer("num_samples", 10, "K", lower_bound=1)
    flags.DEFINE_enum(
        "clock", "wall", list(measure.CLOCKS), "cpu: processor time, for a machine that is busy"
    )
    flags.DEFINE_bool("memory", True, "peak memory as well, each call in a process of its own")
    flags.DEFINE_string("runs", None, "folder of trained runs (GFZ …), instead of random weights")
    app.define_path("data_dir", None, "the only folder to search for the data of trained runs")
    flags.DEFINE_string("out", None, "JSON file to write as well")


def bench(case: Case) -> dict[str, Any]:
    """Rates, ratios and memory of one model."""
    model, x, labels, noise = case.load()
    parts, references = parts_of(model, x, labels, noise)
    check_agreement(case.name, all_calls(parts, references))
    parts = {what: parts[what] for what in FLAGS.part if what in parts}
    needed = {part.reference for part in parts.values()}
    timed = all_calls(parts, {what: references[what] for what in needed})
    memory = peaks(case, list(timed)) if FLAGS.memory else {}
    seconds = measure.alternate(
        timed | {"matrix": measure.matrix_product()}, FLAGS.repeats, measure.CLOCKS[FLAGS.clock]
    )
    row: dict[str, Any] = {"model": case.name}
    row["counting"] = counting_shares(model, x, labels, noise)
    for what, part in parts.items():
        reference = f"reference {part.reference}"
        row[what] = {
            "library": part.steps * part.things / seconds[what],
            "reference": part.things / seconds[reference],
            "ratio": part.steps * seconds[reference] / seconds[what],
            "library_mebibytes": memory.get(what),
            "reference_mebibytes": memory.get(reference),
        }
    row["matrix_gflops"] = measure.MATRIX_PRODUCT_FLOPS / seconds["matrix"] / 1e9
    row["share_of_matrix"] = share_of_matrix(model, row) if "logits" in parts else None
    return row


def share_of_matrix(model: LatentClassifier, row: dict[str, Any]) -> float | None:
    """Rate of the decoder's operations in logits / that of a matrix product; None without p(x|·).

    The operations are those of the layers as defined; all the rest of the logits counts as time.
    """
    if not model.has_p_x:
        return None
    a = model.architecture
    inputs = a.dim_z + (a.num_classes if hasattr(model, "p_x_zy") else 0)
    outputs = a.input_shape[-1] * model.likelihood.num_parameters
    decodes = FLAGS.num_samples * a.num_classes * row["logits"]["library"]
    return decodes * measure.decode_flops(a, inputs, outputs) / (row["matrix_gflops"] * 1e9)


def show(row: dict[str, Any]) -> None:
    """A line of rates with ratios, one of shares and one of memory."""
    timed = [what for what in FLAGS.part if what in row]
    cells = [
        f"{row[what]['library']:9.1f} ({row[what]['ratio']:5.2f})" if what in row else f"{'–':>17}"
        for what in FLAGS.part
    ]
    print(f"{row['model']:6}", *cells)
    shares = [f"{share:.0%}" for share in row["counting"].values()]
    notes = [f"terms that count {shares[0]}, lazily {shares[1]}"]
    if row["share_of_matrix"] is not None:
        notes.append(f"decoder at {row['share_of_matrix']:.0%} of a matrix product's rate")
    print("      ", "; ".join(notes))
    if FLAGS.memory:
        found = (row[what] for what in timed)
        pairs = [f"{f['library_mebibytes']:.0f} ({f['reference_mebibytes']:.0f})" for f in found]
        print("       memory, MiB:", ", ".join(pairs))
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    """Print the table and write the JSON."""
    if arguments:
        raise InputError(f"expected flags only, got {list(arguments)}")
    where = f"runs in {FLAGS.runs}" if FLAGS.runs else f"{FLAGS.sizes} sizes, random weights"
    print(f"{where}; K = {FLAGS.num_samples}, batch {FLAGS.batch_size}; rates per second")
    print("model ", *(f"{HEADINGS[what]:>9} (  ×  )" for what in FLAGS.part))
    rows = []
    for name in FLAGS.models:
        sizes = (FLAGS.batch_size, FLAGS.num_samples)
        case = (name, FLAGS.sizes, FLAGS.runs, *sizes, FLAGS.data_dir)
        rows.append(bench(Case(*case)))
        show(rows[-1])
    if FLAGS.out:
        settings = {
            key: FLAGS[key].value for key in ("runs", "sizes", "num_samples", "batch_size", "clock")
        }
        write_json(
            pathlib.Path(FLAGS.out),
            {"settings": settings, "rows": rows, "provenance": results.provenance()},
        )


if __name__ == "__main__":
    app.run(main, define_flags)
