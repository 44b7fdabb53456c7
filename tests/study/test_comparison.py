"""Ours beside the published numbers."""

import pathlib

import numpy as np
import pandas as pd
import pytest
import yaml

from reproduce.workflow.plan import read_plan
from tests.conftest import ROOT
from tests.study.synthetic import AS_CLAIMED, Runs
from tf_deepbayes.study.comparison import ABOVE, BELOW, WITHIN, compare, met
from tf_deepbayes.study.page.views.attacks import clean_table
from tf_deepbayes.study.page.views.sizes import smallest_view
from tf_deepbayes.study.provenance import tables
from tf_deepbayes.study.published import FOLDER, frame, published_numbers, steps_of
from tf_deepbayes.study.report import Report
from tf_deepbayes.study.results import ORDER, Study

NUMBERS = published_numbers()
PUBLISHED = frame(NUMBERS)


def compared(runs: Runs, attack: str = "fgsm", kind: str = "") -> pd.DataFrame:
    study = Study.read(runs.root)
    (table,) = (t for t in tables(study) if (t.attack, t.kind) == (attack, kind))
    return compare(study, table, PUBLISHED)


def test_rows_are_in_the_papers_order_with_published_and_ours(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    runs.complete(AS_CLAIMED)
    found = compared(runs)
    assert list(dict.fromkeys(found.model)) == list(ORDER)
    row = found[(found.model == "GBZ") & (found["size"] == "0.2")].iloc[0]
    assert row.published == 0.803 and "Table F.1 (p. 23)" in row.published_source
    assert row.low < row.ours < row.high and row.results == "mnist/GBZ/attacks/fgsm_eps0.20.json"
    assert row.difference == pytest.approx(100 * (row.ours - 0.803))
    assert found[found.model == "BNN"].ours.isna().all()


def test_marks_say_whether_both_intervals_allow_the_difference(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    runs.run("GBZ")
    runs.attack("GBZ", 0.1, 0.925)
    runs.attack("GBZ", 0.2, 0.3)
    runs.attack("GBZ", 0.3, 0.95)
    found = compared(runs)
    found = found[found.model == "GBZ"]
    assert list(found.mark) == [WITHIN, BELOW, ABOVE]
    assert met([found], ["GBZ"]) == (1, 3) and met([found], ["GFZ"]) == (0, 0)


def test_a_published_number_of_other_steps_is_refused(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    for model in ("GFZ", "GBZ"):
        runs.run(model)
        runs.attack(model, 0.3, 0.1, "mim")  # 100 steps; GFZ was published with 40
    found = compared(runs, "mim").set_index("model")
    assert pd.isna(found.refused["GBZ"]) and found.published["GBZ"] == 0.056
    assert found.refused["GFZ"] == "published with 40 steps (0.09), ours have 100"
    assert pd.isna(found.published["GFZ"]) and pd.isna(found.difference["GFZ"])


@pytest.mark.parametrize("profile", ["fusion", "plane_frog"])
def test_a_profile_makes_what_the_paper_has(tmp_path: pathlib.Path, profile: str) -> None:
    """Its attacks have the paper's settings, and each of its models the paper's numbers."""
    path = ROOT / "reproduce" / "profiles" / f"{profile}.yaml"
    ((data, plan),) = read_plan(yaml.safe_load(path.read_text())).items()
    runs = Runs(tmp_path, data)
    for model in (name for name in plan.runs if plan.layer_of(name) != "low"):
        runs.run(model, dim_z=128)
        for name in plan.attacks_on(model):
            own = {**plan.entry(name)}
            sizes, attack = own.pop("eps"), own.pop("attack", name)
            options = {k: v for k, v in own.items() if k != "num_images"}
            for eps in sizes:
                runs.attack(model, eps, 0.5, attack, options=options, dim_z=128)
    study = Study.read(runs.root)
    for table in tables(study):
        found = compare(study, table, PUBLISHED)
        numbers = found[found.model.isin(plan.runs)]
        if (table.attack, table.kind) == ("mim", ""):  # 100 steps, as the code: the paper had 40
            assert numbers.published.isna().all()
        elif (data, table.attack) != ("cifar10", "cw"):  # the paper has no CW on CIFAR-10
            assert numbers.published.notna().all() and numbers.refused.isna().all()


def test_another_k_is_refused(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    runs.run("GBZ")
    runs.attack("GBZ", 0.1, 0.9, num_samples=20)
    found = compared(runs).set_index("model")
    assert found.refused["GBZ"] == "published with K 10 (0.925), ours have 20"


def test_settings_that_nobody_published_have_no_published_column(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    runs.run("GBZ")
    runs.attack("GBZ", 0.1, 0.9, "pgd", options={"loss": "log_odds"})
    assert compared(runs, "pgd", "log_odds").published.isna().all()


def test_a_model_behind_stands_apart_with_its_own_epochs(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    for model, epochs in (("GFZ", 20), ("GBZ", 10), ("DFX", 20)):
        runs.run(model, epochs)
        runs.attack(model, 0.1, 0.9)
    found = compared(runs).set_index("model")
    assert found.behind["GBZ"] and found.epochs["GBZ"] == 10
    assert not found.behind["GFZ"] and not found.behind["BNN"]


def test_clean_accuracy_is_beside_the_published_one(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    runs.run("GBZ")
    runs.attack("GBZ", 0.1, 0.9, clean=0.97)
    study = Study.read(runs.root)
    found = compare(study, clean_table(study, "mnist"), PUBLISHED).set_index("model")
    assert found.published["GBZ"] == 0.9745 and found.ours["GBZ"] == pytest.approx(0.97)
    assert found.mark["GBZ"] == WITHIN and "substitute" not in found.index


def test_a_mean_over_seeds_counts_them(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    for seed, accuracy in enumerate((0.5, 0.7, 0.9)):
        runs.run("GBZ", seed=seed)
        runs.attack("GBZ", 0.1, accuracy, seed=seed)
    row = compared(runs).set_index("model").loc["GBZ"]
    assert row.seeds == 3 and row.ours == pytest.approx(0.7, abs=0.02)
    assert row.high - row.low > 0.2 and len(row.results.split()) == 3


def test_errors_of_the_later_studies_are_turned_into_accuracy(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path, "fashion_mnist")
    runs.run("GFZ")
    runs.attack("GFZ", 0.1, 0.5)
    row = compared(runs).set_index("model").loc["GFZ"]
    low, high = row.reproduced, row.reproduced_high
    assert (low, high) == pytest.approx((0.5, 0.58)) and "Delavande" in row.reproduced_source


def test_steps_of_the_sources_are_read() -> None:
    mim = [n for n in NUMBERS if n.attack == "mim" and n.model == "GBZ" and n.eps == "0.5"]
    assert {steps_of(n) for n in mim if "over 40 steps" in n.note} == {100}
    pgd = [n for n in NUMBERS if n.attack == "pgd" and n.kind == "paper"]
    assert {steps_of(n) for n in pgd if "steps=" in n.settings} <= {40, 200}
    assert np.isfinite(PUBLISHED.half).all() and len(PUBLISHED) == 4106 - 105


def test_a_number_of_many_sizes_has_the_steps_of_the_papers_tables(tmp_path: pathlib.Path) -> None:
    """MIM on GFZ has 40 steps in the paper, on GBZ 100: its mean stands beside these alone."""
    runs = Runs(tmp_path)
    for model in ("GFZ", "GBZ"):
        runs.run(model)
        for options in ({}, {"nb_iter": 40}):
            for eps in (0.1, 0.2, 0.3, 0.4, 0.5):
                runs.attack(model, eps, 0.5, "mim", options=options)
    report = Report(Study.read(runs.root), FOLDER)
    view = smallest_view(report.results, "mnist", PUBLISHED)
    assert view is not None
    found = view.frame.set_index(["model", "attack"])
    assert found.mean_published.dropna().to_dict() == {
        **{("GFZ", "MIM, nb_iter40"): pytest.approx(0.2387), ("GBZ", "MIM"): pytest.approx(0.2129)}
    }
    assert found.mean_refused["GFZ", "MIM"].startswith("published with 40 steps")


def test_a_mean_over_other_sizes_has_no_published_one(tmp_path: pathlib.Path) -> None:
    """Sizes that the paper has not are left out of the mean; without all of its, none is shown."""
    runs = Runs(tmp_path)
    runs.run("GFZ")
    right = np.zeros((200, 5), bool)
    for eps in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        runs.attack("GFZ", eps, ~right)
    report = Report(Study.read(runs.root), FOLDER)
    view = smallest_view(report.results, "mnist", PUBLISHED)
    assert view is not None
    row = view.frame.iloc[0]
    assert row["mean"] == pytest.approx(0.6) and row.never == 1 and row.mean_published > 0
    (runs.folder("GFZ") / "attacks" / "fgsm_eps0.20.json").unlink()
    report = Report(Study.read(runs.root), FOLDER)
    view = smallest_view(report.results, "mnist", PUBLISHED)
    assert view is not None
    row = view.frame.iloc[0]
    assert np.isnan(row.mean_published) and np.isnan(row.never) and row.sizes == "5: 0.1–0.6"


def test_no_difference_to_images_that_all_models_classify_rightly(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path, "plane_frog")
    for name, indices in (("GFZ", None), ("GBZ", "of all")):
        runs.run(name, dim_z=128)
        runs.attack(name, 0.1, 0.5, indices=indices)
    found = compared(runs).set_index("model")
    assert found.published[["GFZ", "GBZ"]].notna().all()
    assert np.isnan(found.difference["GFZ"]) and np.isfinite(found.difference["GBZ"])
