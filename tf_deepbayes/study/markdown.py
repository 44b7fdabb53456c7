"""The results of a study on disk, as rows of tables and as a figure."""

import contextlib
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import write_atomically
from tf_deepbayes.reporting import study_figure, study_tables
from tf_deepbayes.runs import results
from tf_deepbayes.training.journal import read_history

Row = Mapping[str, Any]


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
        """{detector: figures} of a saved attack; empty if no detection was run."""
        path = self.folders[model] / "detection" / f"{name}.json"
        if not path.is_file():
            return {}
        with whole(path):
            rows = results.read_result(path, "detection")["figures"]
            return {row["detector"]: row for row in rows}


@contextlib.contextmanager
def whole(*parts: object) -> Iterator[None]:
    """Read a result; InputError when something in it is not what the apps write."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        name = "/".join(map(str, parts))
        raise InputError(f"the result {name} is damaged ({error!r}); run it again") from None


def training_rows(runs: Runs) -> list[list[str]]:
    """The training of each model."""
    rows = []
    for model, folder in runs.folders.items():
        history = read_history(folder)
        if history:
            with whole(folder / "history.csv"):
                rows.append([model, *study_tables.training_row(history)])
    return rows


def attack_rows(runs: Runs, pattern: str) -> list[list[str]]:
    """The figures of each attack of that name and of the detectors on it."""
    rows = []
    for model, name, result in runs.attacks(pattern):
        with whole(model, name):
            detected = runs.detection(model, name)
            rows.append([model, name, *study_tables.attack_row(result["figures"], detected)])
    return rows


def evaluation_rows(runs: Runs) -> list[list[str]]:
    """The figures of each evaluation."""
    rows = []
    for model, name, figures in runs.evaluations():
        with whole(model, name):
            rows.append([model, name, *study_tables.evaluation_row(figures)])
    return rows


def component_table(runs: Runs) -> str:
    """The robust accuracy under each attack of the evaluations."""
    rows = []
    for model, name, figures in runs.evaluations():
        with whole(model, name):
            found = {row["name"]: row["robust_accuracy"] for row in figures["components"]}
            rows.append((model, name, found))
    return study_tables.component_table(rows)


def curve(runs: Runs, model: str, attack: str) -> study_figure.Curve:
    """One attack on one model at each ε."""
    points = []
    for model_, name, result in runs.attacks(f"{attack}_eps*"):
        if model_ == model and re.fullmatch(rf"{attack}_eps[0-9.e-]+", name):
            undetected = study_tables.undetected_share(runs.detection(model, name))
            shares = result["figures"]["success_rate"], undetected
            # No detectors, or no images that were right before: a gap in the curve.
            success, missed = (float("nan") if share is None else float(share) for share in shares)
            points.append((float(result["settings"]["eps"]), success, missed))
    points.sort(key=lambda point: point[0])
    return study_figure.Curve(*([point[i] for point in points] for i in range(3)))


def draw(runs: Runs, path: pathlib.Path) -> None:
    """Plot success against ε for FGSM and PGD, and the share that no detector catches."""
    curves: dict[str, dict[str, study_figure.Curve]] = {model: {} for model in runs.folders}
    for model, found in curves.items():
        for attack in study_figure.STYLES:
            with whole(model, attack):
                found[attack] = curve(runs, model, attack)
    figure = study_figure.study_figure(curves)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=130))


def print_markdown(
    folder: pathlib.Path, models: Sequence[str], figure: pathlib.Path | None
) -> None:
    """Print every table of a data set's runs that has results; draw the curves into `figure`."""
    runs = Runs(folder, models)
    trained = training_rows(runs)
    if not trained:
        raise InputError(f"no runs in {folder}; train one first")
    print(study_tables.markdown_table(study_tables.TRAINING_HEAD, trained))
    for name in ("fgsm", "pgd", "mim", "cw"):
        if rows := attack_rows(runs, f"{name}_*"):
            print(f"\n{study_tables.markdown_table(study_tables.ATTACK_HEAD, rows)}")
    if rows := evaluation_rows(runs):
        table = study_tables.markdown_table(study_tables.EVALUATION_HEAD, rows)
        print(f"\n{table}\n\n{component_table(runs)}")
    if figure:
        draw(runs, figure)
