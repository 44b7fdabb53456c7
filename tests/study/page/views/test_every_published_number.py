"""Each number that the paper prints stands beside ours, once the study has a result of its kind."""

import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from tests.study.synthetic import Runs
from tf_deepbayes.attacks.text_settings import text_settings
from tf_deepbayes.study import bootstrap
from tf_deepbayes.study.published import PAPER, frame, published_numbers
from tf_deepbayes.study.report import Report
from tf_deepbayes.study.results import Study

WIDTHS = {"mnist": 64, "plane_frog": 128, "cifar10": 128}  # dim_z of the paper's tables
SUBSTITUTES = {"grey box": "runs/GBZ_distilled", "black box": "runs/GBZ_jacobian"}
DETECTORS = {"WB+S+M": "marginal", "WB+S+L": "logit", "WB+S+K": "kl"}
# Of no run here: the black-box substitute itself, the bare VGG16, a bound that the text mentions.
NO_PLACE = ("substitute", "VGG16", "clean_accuracy_below")
NUMBERS = frame(published_numbers())
NUMBERS = NUMBERS[(NUMBERS.kind == PAPER) & NUMBERS.dataset.isin(list(WIDTHS))]
NUMBERS = NUMBERS[~NUMBERS.model.isin(NO_PLACE) & ~NUMBERS.quantity.isin(NO_PLACE)]


class Key(NamedTuple):
    """What a number is of."""

    threat: str
    attack: str
    quantity: str
    model: str
    size: float


def model_of(number: Any) -> str:
    """The run that a number belongs beside: another dim_z has a run of its own."""
    width = re.search(r"dim_z=(\d+)", number.settings)
    own = width and int(width[1]) != WIDTHS[number.dataset]
    return f"{number.model}_Z{width[1]}" if width and own else number.model


def key_of(number: Any) -> Key:
    quantity, size = number.quantity, number.size
    return Key(number.threat, number.attack, quantity, model_of(number), float(size))


def attack_on(runs: Runs, number: Any) -> list[str]:
    """Results of the attack that a number is of; of MIM with 100 steps and with 40."""
    options: list[dict[str, Any]] = [{}]
    if number.attack == "mim":
        options = [{}, {"nb_iter": 40}]
    if number.attack == "cw" and (rate := re.search(r"lr=([0-9.]+)", number.settings)):
        options = [{"learning_rate": float(rate[1])}]
    if number.attack == "superwhite":
        weight = re.search(r"lambda=([0-9.]+)", number.settings)
        known = {"detection_lambda": float(weight[1])} if weight and float(weight[1]) else {}
        options = [{"snapshot": True} | known]
    if number.attack == "spsa":
        options = [text_settings("spsa")]
    substitute = SUBSTITUTES.get(number.threat)
    given: dict[str, Any] = {"substitute": substitute} if substitute else {}
    given |= {"detector": DETECTORS.get(number.threat)}
    begin = model_of(number), number.size, 0.5, number.attack
    return [runs.attack(*begin, options=own, **given) for own in options]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Intervals are not looked at: a hundredth of the resamples saves a minute."""
    bootstrap._image_counts.cache_clear()
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    yield
    bootstrap._image_counts.cache_clear()


def report_of(data: str, folder: pathlib.Path) -> Report:
    """The report of a study that has a result for each number of a data set."""
    runs = Runs(folder, data)
    own: list[Any] = list(NUMBERS[NUMBERS.dataset == data].itertuples())
    for model, settings in sorted({(model_of(n), n.settings) for n in own}):
        width = re.search(r"dim_z=(\d+)", settings)
        if width or not runs.folder(model).exists():
            runs.run(model, dim_z=int(width[1]) if width else WIDTHS[data])
    attacked = [n for n in own if n.size == n.size and n.threat != "clean"]
    transfers = [n for n in attacked if n.threat.startswith("transfer")]
    names: dict[tuple[str, ...], list[str]] = {}
    rates: dict[tuple[str, str], dict[str, float]] = {}
    for number in (n for n in attacked if n not in transfers):
        model, end = model_of(number), (number.attack, number.eps)
        told = (model, number.threat, number.settings, *end)
        names[told] = names.get(told) or attack_on(runs, number)
        names[model, number.threat, *end] = names[told]
        for name in names[told] if number.quantity.startswith("tp_") else ():
            rates.setdefault((model, name), {})[number.quantity.removeprefix("tp_")] = 0.5
    for (model, name), of_model in rates.items():
        runs.detect(model, name, of_model)
    for number in transfers:
        source = number.threat.split()[-1]
        moved = {"successful_attacks": 40}
        for name in names[source, "white box", number.attack, number.eps]:
            runs.detect(source, name, {"logit": 0.5}, number.model, transferred=moved)
    return Report(Study.read(folder), pathlib.Path("reproduce/published"))


def shown_by(report: Report) -> Iterator[tuple[Key, float, str]]:
    """(key, value, source) of each published number in the report's tables."""
    views = {view.id: view.frame for section in report.sections for view in section.views}
    for table in (*report.clean, *report.tables):
        assert not table.refused, table.refused
        threat = "clean" if table.attack == "clean" else table.threat
        columns = {
            "published": "clean_accuracy" if table.attack == "clean" else "accuracy_under_attack",
            "l2": "mean_l2_of_successful",
            "substitute_accuracy": "substitute_accuracy_under_attack",
        }
        for row in views[table.id].to_dict("records"):
            for column, quantity in columns.items():
                value = column if column == "published" else f"{column}_published"
                key = Key(threat, table.attack, quantity, row["model"], float(row["size"]))
                source = f"{value}_source"
                yield key, row[value], row[source]
        for row in views.get(f"{table.id}_detection", pd.DataFrame()).to_dict("records"):
            quantity = f"tp_{row['detector']}"
            key = Key(threat, table.attack, quantity, row["model"], float(row["size"]))
            yield key, row["published"], row["published_source"]
    for view in (views[name] for name in views if name.endswith("_smallest")):
        for row in view.to_dict("records"):
            begin = row["threat"], row["name"]
            for column, quantity, size in (
                ("mean", "mean_min_perturbation", np.nan),
                ("median", "median_min_perturbation", np.nan),
                ("never", "accuracy_under_all_up_to", row["largest"]),
            ):
                key = Key(*begin, quantity, row["model"], size)
                yield key, row[f"{column}_published"], row[f"{column}_published_source"]
    for row in views.get("transfer", pd.DataFrame()).to_dict("records"):
        begin = f"transfer from {row['model']}", row["attack"]
        end = row["guard"], row["size"]
        yield Key(*begin, "transfer_accuracy", *end), row["published"], row["published_source"]
        yield Key(*begin, "tp_logit", *end), row["logit_published"], row["logit_published_source"]


@pytest.mark.parametrize("data", sorted(WIDTHS))
def test_every_number_of_the_paper_has_its_place(data: str, tmp_path: pathlib.Path) -> None:
    found: dict[tuple[str, ...], str] = {}
    for key, value, source in shown_by(report_of(data, tmp_path)):
        if value == value:
            place = tuple(map(str, key))
            found[place] = found.get(place, "") + f" | {value:g} in {source}"
    missing = []
    numbers: list[Any] = list(NUMBERS[NUMBERS.dataset == data].itertuples())
    for number in numbers:
        told = found.get(tuple(map(str, key_of(number))), "")
        if f"{number.value:g} in {number.source}" not in told:
            missing.append((*key_of(number), number.value, number.source, told))
    assert missing == [], f"{len(missing)} missing"
