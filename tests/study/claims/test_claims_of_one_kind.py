"""Claims compare only results of the same settings, of models that may be compared."""

import json
import pathlib
from typing import Any

import pytest

from tests.study.claims.test_claims import GENERATIVE, verdict
from tests.study.claims.test_other_claims import transferred
from tests.study.synthetic import AS_CLAIMED, MODELS, Runs
from tf_deepbayes.study.claims.verdicts import HOLDS, NOT_TESTED, Verdict
from tf_deepbayes.study.published import FOLDER
from tf_deepbayes.study.report import Report
from tf_deepbayes.study.results import Study

MANY: dict[str, Any] = {"num_samples": 100, "noise": "mixture"}
TOLD = "K 10, independent noise, 5 draws", "K 100, mixture noise, 5 draws"


def reported(runs: Runs, key: str) -> Verdict:
    """The verdict with the published numbers that are met."""
    found = Report(Study.read(runs.root), FOLDER).verdicts
    return next(one for one in found if one.claim.key == key)


def test_grey_and_white_box_have_the_same_sampling(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    runs.run("GBZ")
    runs.attack("GBZ", 0.3, 0.8, "pgd", substitute="runs/mnist/GBZ_distilled")
    runs.attack("GBZ", 0.3, 0.4, "pgd", **MANY)
    found = verdict(runs, "P11")
    assert found.word == NOT_TESTED
    assert found.untested[0].why == f"other settings: {TOLD[0]} against {TOLD[1]}"
    white = runs.folder("GBZ") / "attacks" / "pgd_eps0.30"
    for end in (".json", ".npz"):
        white.with_name(f"pgd_mixture_eps0.30{end}").write_bytes(
            white.with_name(f"pgd_eps0.30{end}").read_bytes()
        )
    runs.attack("GBZ", 0.3, 0.5, "pgd")
    found = verdict(runs, "P11")  # of two white-box tables the one with the same sampling
    assert found.word == HOLDS and found.cells[0].d.value == pytest.approx(0.3, abs=0.05)


def test_spsa_and_pgd_have_the_same_sampling(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    runs.run("GBZ")
    runs.attack("GBZ", 0.3, 0.4, "pgd", eval_draws=1)
    runs.attack("GBZ", 0.3, 0.8, "spsa")
    found = verdict(runs, "P12")
    assert found.word == NOT_TESTED and "5 draws against K 10" in found.untested[0].why


def test_evading_a_detector_has_the_sampling_of_not_evading_it(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    runs.run("GBZ")
    for detector, more in (("kl", {}), (None, MANY)):
        name = runs.attack("GBZ", 0.2, 0.4, "superwhite", detector=detector, **more)
        runs.detect("GBZ", name, {"kl": 0.5}, misclassified_undetected=0.3)
    found = verdict(runs, "P13")
    assert found.word == NOT_TESTED
    assert f"other settings: {TOLD[1]} against {TOLD[0]}" in {one.why for one in found.untested}


def test_past_another_detector_is_no_baseline(tmp_path: pathlib.Path) -> None:
    """Superwhite past the total variation, which the paper does not have, is no plain WB+S."""
    runs = Runs(tmp_path)
    runs.run("GBZ")
    for detector in ("kl", "tv"):
        name = runs.attack("GBZ", 0.2, 0.4, "superwhite", detector=detector)
        runs.detect("GBZ", name, {"kl": 0.5}, misclassified_undetected=0.3)
    found = verdict(runs, "P13")
    whys = {one.name: one.why for one in found.untested}
    assert not found.cells and whys["WB+S+K on mnist"] == "no run of WB+S and WB+S+K on mnist"


def test_two_data_sets_have_the_same_sampling(tmp_path: pathlib.Path) -> None:
    mnist, fashion = Runs(tmp_path), Runs(tmp_path, "fashion_mnist")
    mnist.complete({model: [0.9, 0.8, 0.7] for model in MODELS})
    fashion.complete(AS_CLAIMED)
    assert verdict(fashion, "L4").word != NOT_TESTED
    for model in MODELS:
        for eps in (0.1, 0.2, 0.3):
            mnist.attack(model, eps, 0.8, **MANY)
    found = verdict(fashion, "L4")
    assert found.word == NOT_TESTED
    assert found.untested[0].why == (
        f"other settings: {TOLD[0]} on fashion_mnist, {TOLD[1]} on mnist"
    )


def at_chance(runs: Runs) -> None:
    runs.attack("DBX", 0.1, 0.5, clean=0.1)


def source_at_chance(runs: Runs) -> None:
    runs.attack("GFZ", 0.3, 0.5, "pgd", clean=0.1)


def behind(runs: Runs) -> None:
    runs.run("DFX", epochs=10)


def sampled_more(runs: Runs) -> None:
    """The guard is asked with other samples than the others."""
    (path,) = (runs.folder("GFZ") / "detection").glob("*_guard_DFX.json")
    content = json.loads(path.read_text())
    content["settings"] |= MANY
    path.write_text(json.dumps(content))


def fitted_on_other_weights(runs: Runs) -> None:
    """The guard was trained further after its detectors were fitted."""
    (path,) = (runs.folder("GFZ") / "detection").glob("*_guard_DFX.json")
    content = json.loads(path.read_text())
    content["settings"]["fitted"] = {
        **{"run": "DFX", "weights": "f" * 64, "num_samples": 10, "seed": 0, "num_train": 500},
        **{"false_positive_rate": 0.05, "threshold": "published", "noise": "independent"},
        "images": "e" * 64,
    }
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (at_chance, "DBX is at chance (clean accuracy 0.10)"),
        (source_at_chance, "GFZ is at chance (clean accuracy 0.10)"),
        (behind, "other epochs: GFZ at 20, "),
        (fitted_on_other_weights, "DFX at unknown"),
        (sampled_more, "DFX with K 100, mixture noise"),
    ],
)
def test_transfers_between_models_that_may_not_be_compared(
    spoil: Any, why: str, tmp_path: pathlib.Path
) -> None:
    runs = Runs(tmp_path)
    for model in MODELS:
        runs.run(model)
    transferred(runs, "GFZ", {m: 50 if m in GENERATIVE else 0 for m in MODELS[1:]})
    assert verdict(runs, "P15").word == HOLDS
    spoil(runs)
    found = verdict(runs, "P15")
    assert found.word == NOT_TESTED and why in found.untested[0].why


def test_published_numbers_are_those_of_the_claims_threats(tmp_path: pathlib.Path) -> None:
    """A grey-box attack is none of P1's, and a clean accuracy is none of P5's but P17's."""
    runs = Runs(tmp_path)
    runs.complete(AS_CLAIMED)
    before = reported(runs, "P1").met
    runs.attack("GBZ", 0.3, 0.8, "pgd", substitute="runs/mnist/GBZ_distilled")
    assert reported(runs, "P1").met == before and before[1] == 18
    assert reported(runs, "P11").met[1] == 1
    assert reported(runs, "P17").met[1] == 7


def test_seeds_do_not_add_hours(tmp_path: pathlib.Path) -> None:
    """The usual minute an attack; with three seeds it is still seven minutes."""
    runs = Runs(tmp_path, "fashion_mnist")
    for seed in range(3):
        for model in MODELS:
            runs.run(model, seed=seed)
            runs.attack(model, 0.1, 0.5, "pgd", seed=seed)
        (cell,) = verdict(runs, "L5").cells
        assert cell.d.value == pytest.approx(7 / 60 - 24) and cell.seeds == seed + 1
