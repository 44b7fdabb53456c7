"""A table that would mix results is not drawn and says what differs."""

import dataclasses
import json
import pathlib

import pytest

from tests.study.synthetic import AS_CLAIMED, Runs
from tf_deepbayes.study.page.views.attacks import head_of
from tf_deepbayes.study.provenance import Table, common_epochs, tables
from tf_deepbayes.study.results import Study


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> Runs:
    """Two models."""
    found = Runs(tmp_path, images=20)
    for model in ("GFZ", "DFX"):
        found.run(model)
    return found


def read(runs: Runs) -> list[Table]:
    return tables(Study.read(runs.root))


def test_results_of_the_same_settings_share_a_table(runs: Runs) -> None:
    for model in ("GFZ", "DFX"):
        for eps in (0.1, 0.2):
            runs.attack(model, eps, 0.5)
    (table,) = read(runs)
    assert not table.refused and len(table.rows) == 4
    assert table.id == "mnist_fgsm" and table.title == "FGSM on mnist"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"num_samples": 20}, "K at 0.1: 10 (GFZ); 20 (DFX)"),
        ({"noise": "antithetic"}, "noise at 0.1: antithetic (DFX); independent (GFZ)"),
        ({"data": "f" * 64}, "digest of the images at 0.1: "),
        ({"eval_draws": 3}, "draws at 0.1: 3.0 (DFX); 5.0 (GFZ)"),
    ],
)
def test_other_settings_are_refused_and_named(runs: Runs, other: dict, said: str) -> None:
    runs.attack("GFZ", 0.1, 0.5)
    runs.attack("DFX", 0.1, 0.5, **other)
    (table,) = read(runs)
    assert any(said in text for text in table.refused), table.refused


def test_another_number_of_images_is_refused(runs: Runs) -> None:
    runs.attack("GFZ", 0.1, 0.5)
    runs.images = 30
    runs.attack("DFX", 0.1, 0.5)
    (table,) = read(runs)
    assert "images at 0.1: 20 (GFZ); 30 (DFX)" in table.refused


def test_steps_have_tables_of_their_own_with_published_names(runs: Runs) -> None:
    for model in ("GFZ", "DFX"):
        runs.attack(model, 0.1, 0.5, "mim")
        runs.attack(model, 0.2, 0.5, "mim", options={"nb_iter": 40})
    found = read(runs)
    assert {table.kind for table in found} == {"", "nb_iter40"}
    assert not any(table.refused for table in found)


def test_steps_of_the_same_name_are_not_mixed(runs: Runs) -> None:
    runs.attack("GFZ", 0.1, 0.5, "pgd")
    runs.attack("DFX", 0.1, 0.5, "pgd", options={"nb_iter": 10})
    assert sorted(len(set(table.rows.steps)) for table in read(runs)) == [1, 1]


def test_results_of_two_sets_of_weights_are_refused(runs: Runs) -> None:
    runs.attack("GFZ", 0.1, 0.5, weights="a" * 64)
    runs.attack("GFZ", 0.2, 0.5, weights="b" * 64)
    (table,) = read(runs)
    (said,) = table.refused
    assert "GFZ" in said and "a" * 12 in said and "b" * 12 in said


def test_a_result_of_earlier_weights_has_unknown_epochs(runs: Runs) -> None:
    runs.attack("GFZ", 0.1, 0.5, weights="a" * 64)
    runs.attack("DFX", 0.1, 0.5)
    rows = Study.read(runs.root).attacks.set_index("model")
    assert rows.stale["GFZ"] and not rows.stale["DFX"]
    assert rows.epochs.isna()["GFZ"] and rows.epochs["DFX"] == 20


def test_settings_that_all_models_have_make_a_table_each(runs: Runs) -> None:
    for model in ("GFZ", "DFX"):
        runs.attack(model, 0.1, 0.5)
    runs.attack("GFZ", 0.1, 0.7, name="fgsm", num_samples=10)
    (table,) = read(runs)
    assert not table.refused
    folder = runs.folder("GFZ") / "attacks"
    for path in folder.glob("fgsm_eps0.10.*"):
        path.rename(folder / path.name.replace("fgsm_", "fgsm_n20_"))
    runs.attack("GFZ", 0.1, 0.5, num_samples=20)
    (table,) = read(runs)
    assert table.refused == () and "GFZ at 0.1 with K 20" in table.left_out[0]
    folder = runs.folder("DFX") / "attacks"
    for path in folder.glob("fgsm_eps0.10.*"):
        path.rename(folder / path.name.replace("fgsm_", "fgsm_n20_"))
    runs.attack("DFX", 0.1, 0.5, num_samples=20)
    both = read(runs)
    assert sorted(set(table.rows.K).pop() for table in both) == [10, 20]
    assert len({table.id for table in both}) == 2


def test_common_epochs_are_those_of_most(runs: Runs) -> None:
    runs.run("GBZ", epochs=10)
    assert common_epochs(Study.read(runs.root), "mnist") == 20
    runs.run("GFY", epochs=10)
    assert common_epochs(Study.read(runs.root), "mnist") == 20  # of two the larger


def test_a_table_says_which_models_were_warmed_up(runs: Runs) -> None:
    runs.complete(AS_CLAIMED)
    path = runs.folder("DBX") / "config.json"
    config = json.loads(path.read_text())
    config["training"]["kl_warm_up"] = 1000
    path.write_text(json.dumps(config))
    study = Study.read(runs.root)
    (table,) = [table for table in tables(study) if table.attack == "fgsm"]
    assert head_of(study, table).endswith("; DBX trained with a KL warm-up of 1000 steps")
    few = dataclasses.replace(table, rows=table.rows[table.rows.model != "DBX"])
    assert "warm-up" not in head_of(study, few)


def test_learning_rates_have_tables_of_their_own(runs: Runs) -> None:
    """Two results of a run are no two seeds."""
    for model in ("GFZ", "DFX"):
        for rate in (0.01, 0.1):
            runs.attack(model, 10.0, 0.5, "cw", options={"learning_rate": rate})
    found = {table.variant: table for table in read(runs)}
    assert set(found) == {"learning rate 0.01", "learning rate 0.1"}
    assert all(len(table.rows) == 2 and not table.refused for table in found.values())
    assert {table.id for table in found.values()} == {
        *("mnist_cw_learning_rate_0.01", "mnist_cw_learning_rate_0.1")
    }


def test_what_only_divides_the_work_tells_results_of_one_run_apart(runs: Runs) -> None:
    """Models may differ in their lazy classes, but GFZ has both and would count as two seeds."""
    runs.attack("GFZ", 0.1, 0.5, "pgd", options={"lazy_classes": 5})
    runs.attack("DFX", 0.1, 0.5, "pgd")
    (table,) = read(runs)
    assert len(table.rows) == 2 and not table.left_out and not table.variant
    runs.attack("GFZ", 0.1, 0.6, "pgd")
    (table,) = read(runs)
    assert len(table.rows) == 2 and table.left_out == ("GFZ at 0.1 with lazy_classes 5",)
    for model, steps in (("GFZ", 0), ("DFX", 5)):  # at a size where each has one they share it
        runs.attack(model, 0.2, 0.5, "pgd", options={"lazy_classes": steps})
    (table,) = read(runs)
    assert list(table.rows["size"]) == [0.1, 0.1, 0.2, 0.2] and len(table.left_out) == 1
    for path in runs.root.glob("mnist/*/attacks/*eps0.20.json"):
        path.unlink()
    runs.attack("DFX", 0.1, 0.5, "pgd", options={"lazy_classes": 5})
    assert {table.variant for table in read(runs)} == {"lazy_classes 0", "lazy_classes 5"}
    (runs.folder("DFX") / "attacks" / "pgd_eps0.10.json").unlink()
    runs.run("GBZ")
    runs.attack("GBZ", 0.1, 0.5, "pgd")
    (table,) = read(runs)
    assert "lazy_classes 0 (GFZ, GBZ); lazy_classes 5 (GFZ, DFX)" in table.refused[0]


def test_results_of_one_run_with_the_same_settings_are_refused(runs: Runs) -> None:
    runs.attack("DFX", 0.1, 0.5)
    name = runs.attack("GFZ", 0.1, 0.5)
    path = runs.folder("GFZ") / "attacks" / f"{name}.json"
    (path.parent / "again_eps0.10.json").write_text(path.read_text())
    (table,) = read(runs)
    assert table.refused == (
        "results of GFZ (seed 0) at 0.1 have the same settings: again_eps0.10, fgsm_eps0.10",
    )
