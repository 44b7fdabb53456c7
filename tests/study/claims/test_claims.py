"""Each claim's verdict on results that are made to support it, or not."""

import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from tests.study.synthetic import AS_CLAIMED, DRAWS, MODELS, Runs
from tf_deepbayes.study.claims.cells import lowest_clean
from tf_deepbayes.study.claims.register import CLAIMS, verdict_of
from tf_deepbayes.study.claims.verdicts import FAILS, HOLDS, IN_PART, NOT_TESTED, Verdict
from tf_deepbayes.study.report import Report
from tf_deepbayes.study.results import Study

GENERATIVE = ("GFZ", "GBZ", "GFY", "GBY")


def verdict(runs: Runs, key: str) -> Verdict:
    (claim,) = (claim for claim in CLAIMS if claim.key == key)
    return verdict_of(claim, Report(Study.read(runs.root)).results, {})


def words(runs: Runs) -> dict[str, str]:
    return {v.claim.key: v.word for v in Report(Study.read(runs.root)).verdicts}


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> Runs:
    """FGSM on all models of MNIST, as the paper claims it."""
    found = Runs(tmp_path)
    found.complete(AS_CLAIMED)
    return found


def test_results_as_claimed_hold_and_the_rest_is_not_tested(runs: Runs) -> None:
    found = words(runs)
    holds = {"P1", "P2", "P4", "P5", "P6", "P17"}
    assert {key for key, word in found.items() if word == HOLDS} == holds
    assert {word for key, word in found.items() if key not in holds} == {NOT_TESTED}
    assert set(found) == {claim.key for claim in CLAIMS}


def test_an_interval_is_that_of_a_plain_paired_bootstrap(runs: Runs) -> None:
    """P1 at ε = .2: worst of the four − best of DFZ, DFX, the models chosen in each resample."""
    study = Study.read(runs.root)
    columns = []
    for model in (*GENERATIVE, "DFZ", "DFX"):
        path = study.root / f"mnist/{model}/attacks/fgsm_eps0.20.npz"
        with np.load(path) as arrays:
            columns.append((arrays["predicted"] == arrays["labels"][:, None]).mean(1))
    values, random = np.stack(columns, 1), np.random.default_rng(5)
    means = np.array([values[random.integers(0, 200, 200)].mean(0) for _ in range(5000)])
    low, high = np.percentile(means[:, :4].min(1) - means[:, 4:].max(1), [2.5, 97.5])
    (cell,) = (cell for cell in verdict(runs, "P1").cells if cell.name.endswith("ε 0.2"))
    whole = values.mean(0)
    assert cell.d.value == pytest.approx(whole[:4].min() - whole[4:].max())
    assert (cell.d.low, cell.d.high) == pytest.approx((low, high), abs=0.006)
    assert cell.table == "mnist_fgsm" and cell.images == 200 and cell.asked == 100


def test_a_claim_that_fails_in_some_cells_holds_in_part(runs: Runs) -> None:
    runs.attack("DBX", 0.1, 0.99)
    assert verdict(runs, "P1").word == HOLDS
    found = verdict(runs, "P2")
    assert found.word == IN_PART and [cell.side for cell in found.cells] == [-1, 1, 1]


def test_the_opposite_does_not_hold(runs: Runs) -> None:
    for eps in (0.1, 0.2, 0.3):
        runs.attack("DFX", eps, 0.97)
    assert verdict(runs, "P1").word == FAILS


def test_cells_where_all_are_at_the_floor_are_left_out(runs: Runs) -> None:
    for model in MODELS:
        runs.attack(model, 0.4, 0.0)
    found = verdict(runs, "P1")
    assert found.word == HOLDS and [c.left_out for c in found.cells][-1] == "at the floor"


def too_few(runs: Runs) -> None:
    runs.images = 100
    runs.complete(AS_CLAIMED)


def at_chance(runs: Runs) -> None:
    for eps in (0.1, 0.2, 0.3):
        runs.attack("GBY", eps, 0.1, clean=0.15)


def behind(runs: Runs) -> None:
    runs.run("GBY", epochs=10)
    for eps in (0.1, 0.2, 0.3):
        runs.attack("GBY", eps, 0.8)


def stale(runs: Runs) -> None:
    for eps in (0.1, 0.2, 0.3):
        runs.attack("GBY", eps, 0.8, weights="f" * 64)


def mixed(runs: Runs) -> None:
    for eps in (0.1, 0.2, 0.3):
        runs.attack("GBY", eps, 0.8, num_samples=20)


def without_outcomes(runs: Runs) -> None:
    for path in (runs.folder("GBY") / "attacks").glob("*.npz"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (too_few, "100 images, fewer than 200"),
        (at_chance, "GBY is at chance (clean accuracy 0.15)"),
        (behind, "GBY at 10"),
        (stale, "GBY at unknown, of weights that are not those of trained.json"),
        (mixed, "its table would mix: K at 0.1"),
        (without_outcomes, "the outcomes of the images were not kept"),
    ],
)
def test_what_cannot_be_compared_is_not_tested(
    runs: Runs, spoil: Callable[[Runs], None], why: str
) -> None:
    assert verdict(runs, "P1").word == HOLDS
    spoil(runs)
    found = verdict(runs, "P1")
    assert found.word == NOT_TESTED and why in found.why_not


def test_models_of_a_claim_that_share_other_epochs_are_tested(runs: Runs) -> None:
    """All but DBX at 40: P1 needs no DBX, P2 does."""
    for model in MODELS:
        if model != "DBX":
            runs.run(model, epochs=40)
            for eps, accuracy in zip((0.1, 0.2, 0.3), AS_CLAIMED[model], strict=True):
                runs.attack(model, eps, accuracy)
    found = verdict(runs, "P1")
    assert found.word == HOLDS and found.measured.startswith("at 40 of 100 epochs")
    assert verdict(runs, "P2").word == NOT_TESTED


def test_three_seeds_are_resampled(runs: Runs) -> None:
    before = verdict(runs, "P1").cells[0]
    for seed, shift in ((1, -0.15), (2, 0.1)):
        for model in MODELS:
            runs.run(model, seed=seed)
            for eps, accuracy in zip((0.1, 0.2, 0.3), AS_CLAIMED[model], strict=True):
                moved = accuracy + (shift if model in GENERATIVE else -shift)
                runs.attack(model, eps, float(np.clip(moved, 0, 1)), seed=seed)
    after = verdict(runs, "P1").cells[0]
    assert after.seeds == 3
    assert after.d.high - after.d.low > 1.5 * (before.d.high - before.d.low)


def test_levels_are_tested_by_the_intervals_end(runs: Runs) -> None:
    """Of 200 images .23 is not below .25 for certain, .1 is."""
    runs.attack("DFX", 0.2, np.arange(200)[:, None].repeat(DRAWS, 1) < 46)
    found = verdict(runs, "P5")
    sides = {cell.name.split(", ")[2].split()[0]: cell.side for cell in found.cells}
    assert sides == {"DFX": 0, "DFZ": 1, "DBX": 1} and found.word == IN_PART


def test_the_smallest_eps_is_that_of_each_image(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    order = np.arange(200)[:, None].repeat(DRAWS, 1)
    for model in MODELS:
        runs.run(model)
        robust = 150 if model in GENERATIVE else 50
        runs.attack(model, 0.1, order < robust)  # a quarter falls at .1, or three
        runs.attack(model, 0.2, order < robust - 50)
    found = verdict(runs, "P6").cells[0]
    # Of 200: 50 at .1, 50 at .2, 100 never (.3); against 150 at .1, 50 at .2.
    assert found.d.value == pytest.approx((5 + 10 + 30) / 200 - (15 + 10) / 200)


def test_a_model_of_two_classes_is_at_chance_below_three_quarters() -> None:
    assert lowest_clean(10) == 0.2 and lowest_clean(2) == 0.75
