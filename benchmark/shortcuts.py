"""What a shortcut of an attack saves, and whether it moves success: python -m benchmark.shortcuts.

The same images are attacked by PGD without the shortcut and with it, in turn, several times, each
time from another random start and with other noise of the classifier. An image is broken when most
of the scoring draws misclassify it. The share of images that are broken without the shortcut and
not with it, or the other way round, is to be read against the same share of two runs without it:
that is the noise.
"""

import dataclasses
import itertools
import pathlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from absl import flags

from tf_deepbayes.attacks import PGD
from tf_deepbayes.attacks.base import AttackedBatch
from tf_deepbayes.attacks.losses import LOSSES
from tf_deepbayes.cli import app
from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array, LogitsFn
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import write_json
from tf_deepbayes.evaluation.runner import SCORING, Reseed
from tf_deepbayes.evaluation.scoring import EVAL_DRAWS, EvaluationSet, draw_logits, success
from tf_deepbayes.inference.noise import reseed
from tf_deepbayes.reporting import text
from tf_deepbayes.runs import results
from tf_deepbayes.runs.run import Run

FLAGS = flags.FLAGS
SHORTCUTS: dict[str, dict[str, Any]] = {
    "lazy_classes": {"lazy_classes": 5},
    "early_stop": {"early_stop": True},
}
HEAD = (
    *("model", "images", "success (95%)", "with the shortcut", "steps", "× wall clock"),
    *("× processor time", "outcome differs", "between two runs without", "between two with"),
)


def define_flags() -> None:
    """Which shortcut, on what."""
    flags.DEFINE_enum("shortcut", "lazy_classes", list(SHORTCUTS), "field of PGD")
    flags.DEFINE_list("models", ["GFZ", "DFZ", "GBZ"], "trained classifiers")
    flags.DEFINE_string("runs", "runs/fashion_mnist", "folder of the trained runs (GFZ …)")
    flags.DEFINE_integer("num_images", 50, "test images attacked, in one batch")
    flags.DEFINE_float("eps", 0.1, "size of the perturbation")
    flags.DEFINE_integer("nb_iter", 20, "steps of PGD")
    flags.DEFINE_enum("loss", "log_odds", list(LOSSES), "loss that it climbs")
    flags.DEFINE_integer("repeats", 2, "runs with the shortcut, and as many without it")
    flags.DEFINE_string("out", None, "JSON file to write as well")


@dataclasses.dataclass(frozen=True)
class Attacked:
    """One run.

    Attributes:
        wins: whether each image that counts succeeds in each scoring draw, `[R, N]`.
        wall_clock: seconds of the attack.
        processor: seconds of processor time of the attack, of all cores together.
        steps: that an image took, on average.
    """

    wins: Array
    steps: float
    wall_clock: float
    processor: float

    @property
    def broken(self) -> Array:
        """Whether most draws misclassify each image, `[N]`."""
        return self.wins.mean(0) > 0.5


def attacked(
    attack: PGD, logits_fn: LogitsFn, target: EvaluationSet, eps: float, put_noise: Reseed
) -> Attacked:
    """One run, scored on fresh noise."""
    put_noise(0)
    wall_clock, processor = time.perf_counter(), time.process_time()
    calls = attack.parts(logits_fn, target.images, target.attack_labels, eps)
    found = AttackedBatch.joined([call() for call in calls])
    spent = time.perf_counter() - wall_clock, time.process_time() - processor
    put_noise(SCORING)
    draws = draw_logits(target.logits_fn, found.images, target.draws, attack.batch_size)
    steps = attack.nb_iter if found.steps is None else float(found.steps.mean())
    return Attacked(success(target, draws)[:, target.counted], steps, *spent)


def differing(pairs: Iterable[tuple[Attacked, Attacked]]) -> float | None:
    """Mean share of images whose outcome differs between the runs of a pair; None without any."""
    shares = [float(np.mean(first.broken != second.broken)) for first, second in pairs]
    return float(np.mean(shares)) if shares else None


def compared(without: Sequence[Attacked], with_it: Sequence[Attacked]) -> dict[str, Any]:
    """The figures of both kinds of run; run i of both kinds has the same random start.

    Runs of the same number are not paired, so that all shares are of runs that differ in their
    start and their noise.
    """
    numbered = range(len(without)), range(len(with_it))
    crossed = [(without[i], with_it[j]) for i, j in itertools.product(*numbered) if i != j]
    found: dict[str, Any] = {"num_images": without[0].wins.shape[1]}
    for name, runs in {"without": without, "with": with_it}.items():
        rate = float(np.mean([run.wins.mean() for run in runs]))
        interval = metrics.confidence_interval(rate, found["num_images"])
        found[name] = {"success_rate": rate, "success_rate_interval": interval}
        found[name]["differing"] = differing(itertools.combinations(runs, 2))
        found[name]["steps"] = float(np.mean([run.steps for run in runs]))
    found["differing"] = differing(crossed)
    for kind in ("wall_clock", "processor"):
        spent = [sum(getattr(run, kind) for run in runs) for runs in (without, with_it)]
        found[kind] = {"without": spent[0], "with": spent[1], "ratio": spent[0] / spent[1]}
    return found


def compare(victim: Run) -> dict[str, Any]:
    """Runs with and without the shortcut in turn, after one step of each to trace."""
    test = victim.load_data(None).test.first(FLAGS.num_images)
    target = EvaluationSet.of(victim.logits_fn, test.pixels, test.labels, batch_size=len(test))
    logits_fn = victim.access().logits
    plain = PGD(nb_iter=FLAGS.nb_iter, loss=FLAGS.loss, batch_size=len(test))
    kinds = plain, dataclasses.replace(plain, **SHORTCUTS[FLAGS.shortcut])
    for attack in kinds:
        dataclasses.replace(attack, nb_iter=1)(logits_fn, test.pixels, test.labels, FLAGS.eps)
    found: tuple[list[Attacked], list[Attacked]] = ([], [])
    for seed in range(FLAGS.repeats):
        put_noise = lambda number, seed=seed: reseed(victim.model.generator, seed, number)  # noqa: E731
        for attack, runs in zip(kinds, found, strict=True):
            seeded = dataclasses.replace(attack, seed=seed)
            runs.append(attacked(seeded, logits_fn, target, FLAGS.eps, put_noise))
    return {"model": victim.config.model, "attack": repr(kinds[1]), **compared(*found)}


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table under `HEAD`."""

    def rate(kind: str) -> str:
        low, high = row[kind]["success_rate_interval"]
        return f"{row[kind]['success_rate']:.3f} ({low:.2f}–{high:.2f})"

    shares = row["differing"], row["without"]["differing"], row["with"]["differing"]
    ratios = [f"{row[kind]['ratio']:.2f}" for kind in ("wall_clock", "processor")]
    start = [row["model"], str(row["num_images"]), rate("without"), rate("with")]
    return [*start, f"{row['with']['steps']:.1f}", *ratios, *map(text.format_share, shares)]


def main(arguments: Sequence[str]) -> None:
    """Print a markdown table, a row for each model."""
    if arguments:
        raise InputError(f"expected flags only, got {list(arguments)}")
    print(
        f"PGD {FLAGS.nb_iter} steps, eps {FLAGS.eps}, {FLAGS.loss}, {SHORTCUTS[FLAGS.shortcut]}, "
        f"{FLAGS.repeats} runs of each, {EVAL_DRAWS} scoring draws\n"
    )
    print("| " + " | ".join(HEAD) + " |\n" + "| --- " * len(HEAD) + "|", flush=True)
    rows = []
    for name in FLAGS.models:
        folder = pathlib.Path(FLAGS.runs)
        rows.append(compare(Run.load(folder / name)))
        print("| " + " | ".join(cells(rows[-1])) + " |", flush=True)
    if FLAGS.out:
        write_json(pathlib.Path(FLAGS.out), {"rows": rows, "provenance": results.provenance()})


if __name__ == "__main__":
    app.run(main, define_flags)
