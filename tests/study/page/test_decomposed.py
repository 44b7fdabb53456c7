"""Robustness taken apart on the page: every part with its interval, and what survives keeping."""

import pathlib
from typing import Any

import pytest

from tests.small import IMAGES
from tests.study.page.pages import PARTS
from tests.study.synthetic import Runs
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.results import write_result
from tf_deepbayes.study.keep import keep
from tf_deepbayes.study.page import decomposed
from tf_deepbayes.study.page.decomposed import budgets_view, noise_view, parts_view
from tf_deepbayes.study.page.views import details
from tf_deepbayes.study.report import Report
from tf_deepbayes.study.results import Study


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> Runs:
    found = Runs(tmp_path / "runs")
    for model in ("GFZ", "GBZ"):
        found.run(model)
        found.evaluate(model, 0.1, PARTS)
    found.evaluate("GBZ", 0.2, PARTS)
    return found


def test_parts_have_intervals_and_their_verdict(runs: Runs, tmp_path: pathlib.Path) -> None:
    keep(Study.read(runs.root), tmp_path / "kept")
    for root in (runs.root, tmp_path / "kept"):
        view = decomposed.parts_view(Study.read(root))
        assert view is not None
        assert list(view.shown.model) == ["GFZ", "GBZ", "GBZ"]
        assert list(view.shown["ε"]) == ["0.1", "0.1", "0.2"]
        first = view.shown.iloc[0]
        assert first["broken"] == "0.500 ± 0.050" and first["adaptive"] == "–"
        assert first["verdict"] == "margin" and first["images broken first by"] == "pgd 140"
        assert view.frame.path[0] == "mnist/GFZ/evaluation/eps0.1_standard.json"


def test_budgets_and_noise_have_a_row_each(runs: Runs) -> None:
    study = Study.read(runs.root)
    budgets, noise = decomposed.budgets_view(study), decomposed.noise_view(study)
    assert budgets is not None and noise is not None
    assert list(budgets.shown["robust accuracy"]) == ["1: 0.600, 20: 0.300"] * 3
    assert list(noise.shown["worst images"])[:2] == [
        "one of 10 submissions succeeds",
        "a vote of 3 draws is right",
    ]


def test_a_picture_for_each_size_says_its_numbers(runs: Runs) -> None:
    (title, small), (other, _) = decomposed.stacks(Study.read(runs.root))
    assert title == "Robust accuracy in parts: mnist, ε = 0.1" and other.endswith("0.2")
    assert "GBZ: clean error 0.100, noise alone 0.050, broken 0.500" in small


def test_nothing_taken_apart_has_no_section_and_damage_is_named(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path / "runs")
    runs.run("GFZ")
    runs.attack("GFZ", 0.1, 0.5)
    assert "apart" not in {section.id for section in Report(Study.read(runs.root)).sections}
    name = runs.evaluate("GFZ", 0.1, PARTS)
    path = runs.folder("GFZ") / "evaluation" / f"{name}.json"
    path.write_text(path.read_text().replace('"verdict": "saturated"', '"vote": 1'))
    with pytest.raises(InputError, match=r"eps0.1_standard.json is damaged"):
        decomposed.budgets_view(Study.read(runs.root))


def test_the_attacks_on_a_fusion_model_have_the_published_figures_beside(
    tmp_path: pathlib.Path,
) -> None:
    runs = Runs(tmp_path / "runs", "cifar10")
    runs.run("GBZ_mid", dim_z=128)
    assert details.adaptive_view(Study.read(runs.root)) is None
    shares = ("success", "rejected", "passed", "zero_gradients", "clean_accuracy")
    row: dict[str, Any] = dict.fromkeys(shares, 0.5) | {"eps": 8 / 255, "top2_gap": 20.0}
    row |= {"published_success": 0.776, "published_rejected": None, "num_images": 1000}
    config = RunConfig("GBZ", "cifar10", IMAGES, "l2", 0, {})
    folder, mixture = runs.folder("GBZ_mid"), {"num_samples": 1, "noise": "mixture", "epochs": 40}
    write_result(folder / "adaptive.json", "adaptive", config, {}, {"full logits": row})
    path = folder / "adaptive_K1_mixture.json"
    write_result(path, "adaptive", config, mixture, {"full logits": row})
    keep(Study.read(runs.root), tmp_path / "kept")
    view = details.adaptive_view(Study.read(tmp_path / "kept"))
    assert view is not None
    published, other = (list(view.shown.iloc[i]) for i in (0, 1))
    assert published[3:9] == ["–", "independent", "–", "8", "0.776", "0.500"]
    assert other[3:6] == ["1", "mixture", "40"] and other[6:] == published[6:]


def test_decompositions_of_one_model_are_told_apart(runs: Runs) -> None:
    chosen = ["pgd_log_odds_0", "pgd_log_odds_1"]
    settings: dict[str, Any] = {"num_samples": 10, "noise": "mixture", "attacks": chosen}
    runs.evaluate("GBZ", 0.2, PARTS, "_chosen", **settings)
    study = Study.read(runs.root)
    for view in (f(study) for f in (parts_view, budgets_view, noise_view)):
        assert view is not None
        own = view.shown[(view.shown.model == "GBZ") & (view.shown["ε"] == "0.2")]
        told = set(zip(own.K, own.noise, own.attacks, strict=True))
        assert told == {("–", "independent", "all"), ("10", "mixture", ", ".join(chosen))}
    (_, alone), (_, twice) = decomposed.stacks(study)
    assert "GBZ: clean error" in alone and "GBZ, K" not in alone
    assert "GBZ, K 10, mixture, 2 attacks chosen: clean" in twice


def test_a_picture_says_that_a_part_is_below_0(tmp_path: pathlib.Path) -> None:
    """The known noise makes an image in fifty right again: the page says so."""
    shares = {"broken": 0.64, "known noise": -0.02, "adaptive": 0.03, "margin": 0.35}
    runs = Runs(tmp_path / "runs")
    for model, parts in (("GFZ", PARTS), ("DFX", shares)):
        runs.run(model)
        runs.evaluate(model, 0.1, parts)
        ((_, picture),) = decomposed.stacks(Study.read(runs.root))
        assert ("a part below 0 is taken off" in picture) == (model == "DFX")
