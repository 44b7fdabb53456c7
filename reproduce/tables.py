"""Print the tables of a study as markdown: python reproduce/tables.py --data fashion_mnist.

Reads what reproduce/study.py left in the runs, and with --figure draws the curves as a PNG.
"""

import contextlib
import io
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib

from tf_deepbayes.cli import app
from tf_deepbayes.data import datasets
from tf_deepbayes.models import factorisations
from tf_deepbayes.reporting import text
from tf_deepbayes.runs import results

matplotlib.use("Agg")

from absl import flags
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import write_atomically
from tf_deepbayes.training.journal import read_history

FLAGS = flags.FLAGS
Row = Mapping[str, Any]
DETECTORS = ("marginal", "logit", "kl", "tv")


def define_flags() -> None:
    """Which study."""
    flags.DEFINE_string("data", "fashion_mnist", "data set: " + ", ".join(datasets.TASKS))
    flags.DEFINE_list("models", list(factorisations.FACTORISATIONS), "classifiers")
    flags.DEFINE_string("figure", None, "PNG file for the curves")
    flags.DEFINE_string("runs", None, "folder of all runs (default: runs of the project)")


class Runs:
    """The results of all models of a data set that are on disk."""

    def __init__(self, folder: pathlib.Path, models: Sequence[str]) -> None:
        self.folders = {model: folder / model for model in models}

    def attacks(self, pattern: str) -> Iterator[tuple[str, str, Row]]:
        """(model, name of the attack, its result)."""
        for model, folder in self.folders.items():
            for path in sorted((folder / "attacks").glob(f"{pattern}.json")):
                yield model, path.stem, results.read_result(path, "attack")

    def evaluations(self) -> Iterator[tuple[str, str, Row]]:
        """(model, name of the evaluation, its figures)."""
        for model, folder in self.folders.items():
            for path in sorted((folder / "evaluation").glob("*.json")):
                yield model, path.stem, results.read_result(path, "evaluation").get("figures", {})

    def detection(self, model: str, name: str) -> dict[str, Row]:
        """{detector: figures} of a saved attack; empty when it was not looked at."""
        path = self.folders[model] / "detection" / f"{name}.json"
        if not path.is_file():
            return {}
        with whole(path):
            rows = results.read_result(path, "detection")["figures"]
            return {row["detector"]: row for row in rows}


@contextlib.contextmanager
def whole(*parts: object) -> Iterator[None]:
    """Reading a result; InputError when something in it is not what the apps write."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        name = "/".join(map(str, parts))
        raise InputError(f"the result {name} is damaged ({error!r}); make it again") from None


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; empty without rows."""
    lines = [head, ["---"] * len(head), *rows] if rows else []
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def with_interval(share: float | None, interval: Sequence[float] | None) -> str:
    """.52 (.45–.59)"""
    if share is None or interval is None:
        return "–"
    return f"{share:.2f} ({interval[0]:.2f}–{interval[1]:.2f})"


def training_rows(runs: Runs) -> list[list[str]]:
    """Model, epochs, minutes, last bound, last validation accuracy."""
    rows = []
    for model, folder in runs.folders.items():
        history = read_history(folder)
        if not history:
            continue
        with whole(folder / "history.csv"):
            minutes = sum(float(row["seconds"]) for row in history) / 60
            seen = [float(row["val_accuracy"]) for row in history if row.get("val_accuracy")]
            bound = f"{float(history[-1]['bound']):.2f}"
            accuracy = text.format_share(seen[-1] if seen else None)
            rows.append([model, str(len(history)), f"{minutes:.0f}", bound, accuracy])
    return rows


def attack_rows(runs: Runs, pattern: str) -> list[list[str]]:
    """What each attack of that name did, and what the detectors made of it."""
    rows = []
    for model, name, result in runs.attacks(pattern):
        with whole(model, name):
            row = attack_row(result["figures"], runs.detection(model, name))
            rows.append([model, name, *row])
    return rows


def attack_row(figures: Row, seen: Mapping[str, Row]) -> list[str]:
    """The cells of one attack."""
    detected = [
        text.format_share(seen[d]["detection_rate"]) if d in seen else "–" for d in DETECTORS
    ]
    missed = [row["misclassified_undetected"] for row in seen.values()]
    return [
        str(figures["num_images"]),
        text.format_share(figures["clean_accuracy"]),
        text.format_share(figures["accuracy"]),
        with_interval(figures["success_rate"], figures["success_rate_interval"]),
        text.format_share(figures["success_in_every_draw"]),
        f"{figures['perturbation']['l2']['mean']:.2f}",
        text.format_share(figures["zero_gradients"]),
        text.format_share(figures["clean_prediction_changes"]),
        *detected,
        text.format_share(min(missed)) if missed else "–",
        f"{figures['seconds']:.0f}",
    ]


ATTACK_HEAD = (
    *("model", "attack", "images", "accuracy", "under attack", "success (95%)", "in every draw"),
    *("l2", "zero gradients", "clean changes"),
    *(f"{name} detects" for name in DETECTORS),
    *("undetected", "seconds"),
)


def evaluation_rows(runs: Runs) -> list[list[str]]:
    """The worst case of each image, the strongest single attack, and the checks that failed."""
    rows = []
    for model, name, figures in runs.evaluations():
        with whole(model, name):
            rows.append([model, name, *evaluation_row(figures)])
    return rows


def evaluation_row(figures: Row) -> list[str]:
    """The cells of one evaluation."""
    worst, noise = figures["worst_case"], figures["unperturbed"]
    strongest = min(figures["components"], key=lambda row: row["robust_accuracy"])
    failed = [check["name"] for check in figures["checks"] if check["verdict"] == "FAIL"]
    interval = worst["robust_accuracy_interval"]
    return [
        str(worst["num_images"]),
        text.format_share(worst["clean_accuracy"]),
        text.format_share(noise["robust_accuracy"]),
        with_interval(worst["robust_accuracy"], interval),
        f"{strongest['name']} {strongest['robust_accuracy']:.2f}",
        "; ".join(failed) or "none",
        f"{sum(row['seconds'] for row in figures['components']):.0f}",
    ]


EVALUATION_HEAD = (
    *("model", "evaluation", "images", "accuracy", "noise alone", "robust accuracy (95%)"),
    *("strongest attack", "failed checks", "seconds"),
)


def component_table(runs: Runs) -> str:
    """What each attack of the evaluations leaves right: robust accuracy, a column for each."""
    rows = []
    for model, name, figures in runs.evaluations():
        with whole(model, name):
            found = {row["name"]: row["robust_accuracy"] for row in figures["components"]}
            rows.append((model, name, found))
    names = list(dict.fromkeys(name for *_, found in rows for name in found))
    cells = [
        [model, evaluation, *(text.format_share(found.get(name)) for name in names)]
        for model, evaluation, found in rows
    ]
    return table(["model", "evaluation", *names], cells)


def draw(runs: Runs, path: pathlib.Path) -> None:
    """Success against ε, one panel per model, FGSM and PGD, and what no detector catches."""
    models = list(runs.folders)
    figure, axes = plt.subplots(
        1, len(models), figsize=(2.2 * len(models), 2.6), sharey=True, squeeze=False
    )
    for axis, model in zip(axes[0], models, strict=True):
        for attack, style in (("fgsm", "--"), ("pgd", "-")):
            with whole(model, attack):
                draw_curves(axis, runs, model, attack, style)
        axis.set(title=model, xlabel="ε (l∞)", ylim=(-0.03, 1.03))
    axes[0, 0].set_ylabel("share of images")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    plt.close(figure)
    write_atomically(path, lambda file: file.write(picture.getvalue()))


def draw_curves(axis: Axes, runs: Runs, model: str, attack: str, style: str) -> None:
    """Success of one attack on one model, and what no detector catches."""
    found = [
        (result["settings"]["eps"], result["figures"], runs.detection(model, name))
        for model_, name, result in runs.attacks(f"{attack}_eps?.??")
        if model_ == model
    ]
    found.sort(key=lambda row: row[0])
    eps = [size for size, *_ in found]
    success = [row["success_rate"] for _, row, _ in found]
    axis.plot(eps, success, f"C0o{style}", label=attack.upper(), markersize=3)
    missed = [
        min((row["misclassified_undetected"] for row in seen.values()), default=float("nan"))
        for *_, seen in found
    ]
    axis.plot(eps, missed, f"C3s{style}", label=f"{attack.upper()}, undetected", ms=3)


def main(arguments: Sequence[str]) -> None:
    """Print the tables for which there are results."""
    if arguments:
        raise InputError(f"expected flags only, got {list(arguments)}")
    root = app.project_runs(__file__, FLAGS.runs)
    runs = Runs(root / FLAGS.data, [factorisations.get(m).__name__ for m in FLAGS.models])
    trained = training_rows(runs)
    if not trained:
        raise InputError(f"no runs in {root / FLAGS.data}; run reproduce/study.py first")
    head = ("model", "epochs", "minutes", "bound, nats", "validation accuracy")
    print(table(head, trained))
    for name in ("fgsm", "pgd", "mim", "cw"):
        rows = attack_rows(runs, f"{name}_*")
        if rows:
            print(f"\n{table(ATTACK_HEAD, rows)}")
    rows = evaluation_rows(runs)
    if rows:
        print(f"\n{table(EVALUATION_HEAD, rows)}\n\n{component_table(runs)}")
    if FLAGS.figure:
        draw(runs, pathlib.Path(FLAGS.figure))


if __name__ == "__main__":
    app.run(main, define_flags)
