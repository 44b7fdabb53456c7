"""Fitting on a guard and scoring a saved attack, with guards of any kind."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from tests.small import classifier, convnet, images
from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.data.splits import Split
from tf_deepbayes.detection import selection
from tf_deepbayes.detection.scored_attack import ScoredAttack
from tf_deepbayes.evaluation.identity import differing
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.runs import detector_files, guards
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.run import Run

CONFIG = RunConfig("CNN", "mnist_5k", Architecture((8, 8, 1), 5, 2, 2), "l2", 0, {})


@pytest.fixture(scope="module")
def plain_guard() -> Run:
    """A Keras network that knows nothing of p(x)."""
    model = convnet()
    model.build((None, 8, 8, 1))
    model.logits = lambda x, sampling: model(x)
    return Run(pathlib.Path("CNN"), CONFIG, model, Sampling(1, seed=0))  # type: ignore[arg-type]


def bytes_of(count: int, seed: int) -> Split:
    """Random images of five classes."""
    random = np.random.default_rng(seed)
    pixels = random.integers(256, size=(count, 8, 8, 1)).astype(np.uint8)
    return Split(pixels, np.arange(count) % 5)


def saved_attack(num_classes: int = 5) -> dict[str, np.ndarray]:
    """The arrays of an attack on seven images."""
    logits = np.random.default_rng(1).normal(size=(7, num_classes))
    return {
        "adversarial": images(7, shape=(8, 8, 1)),
        "labels": np.zeros(7, int),
        "adversarial_logits": logits,
    }


def scored_by(
    guard: Run, clean: Split, saved: dict[str, np.ndarray], is_transfer: bool, size: int
) -> ScoredAttack:
    return ScoredAttack.of(guard.logits_fn, clean.pixels, clean.labels, saved, is_transfer, size)


def test_a_plain_network_guards_with_the_divergences(
    plain_guard: Run, tmp_path: pathlib.Path
) -> None:
    train = bytes_of(60, 0)
    fitted, settings = guards.fit(plain_guard, train, 0, 0.1, "quantile", 16)
    assert list(fitted) == ["kl", "tv"] and settings.num_train == 60
    scored = scored_by(plain_guard, bytes_of(20, 2), saved_attack(), True, 16)
    assert scored.guard_predicted is not None
    rows = scored.figures(selection.choose(["tv"], fitted))
    assert [row["detector"] for row in rows] == ["tv"]
    assert rows[0]["transferred"]["successful_attacks"] == np.sum(scored.guard_predicted != 0)
    own = scored_by(plain_guard, bytes_of(20, 2), saved_attack(), False, 16)
    assert own.guard_predicted is None and own.figures([fitted["kl"]])[0]["transferred"] is None

    detector_files.write_detectors(tmp_path / "t.json", CONFIG, settings, fitted)
    read, found = guards.read(plain_guard, tmp_path / "t.json")
    assert found == settings
    assert scored.figures([read["tv"]]) == rows
    other = dataclasses.replace(plain_guard, sampling=Sampling(2))
    with pytest.raises(ValueError, match="num_samples 1 and the guard has 2"):
        guards.read(other, tmp_path / "t.json")
    other = dataclasses.replace(plain_guard, sampling=Sampling(1, "mean"))
    with pytest.raises(ValueError, match="mode sample and the guard has mean"):
        guards.read(other, tmp_path / "t.json")
    assert guards.fit(other, train, 0, 0.1, "quantile", 16)[1].mode == "mean"
    with pytest.raises(ValueError, match="no fitted marginal, only kl, tv"):
        selection.choose(["kl", "marginal"], fitted)


def test_detections_in_two_modes_have_two_settings(plain_guard: Run) -> None:
    """Those in the mode "sample" are recorded as before there were others."""

    def nobody() -> Run:
        raise AssertionError("the detectors are fitted already")

    recorded = {}
    for mode in ("sample", "mean"):
        run = dataclasses.replace(plain_guard, sampling=Sampling(1, mode, seed=0))
        detection = guards.Detection(run, None, nobody)
        settings = detector_files.fit_settings(run, bytes_of(5, 0), 0, 0.05, "published")
        vars(detection)["fitted"] = {}, settings
        recorded[mode] = detection._settings("pgd_eps0.10", saved_attack(), bytes_of(5, 2))
    assert "mode" not in recorded["sample"] and "mode" not in recorded["sample"]["fitted"]
    assert recorded["mean"]["mode"] == recorded["mean"]["fitted"]["mode"] == "mean"
    for found, wanted in (("sample", "mean"), ("mean", "sample")):
        assert differing(recorded[found], recorded[wanted])


def test_victim_and_guard_know_the_same_classes(plain_guard: Run) -> None:
    with pytest.raises(ValueError, match=r"shape \[7, 3\] and the guard's \[7, 5\]"):
        scored_by(plain_guard, bytes_of(5, 0), saved_attack(3), True, 16)


@pytest.mark.parametrize(("name", "density"), [("GBY", True), ("DFX", False), ("DBX", False)])
def test_whether_a_guard_has_p_x(name: str, density: bool, plain_guard: Run) -> None:
    guard = dataclasses.replace(plain_guard, model=classifier(name))
    assert guards.has_p_x(guard) is density
    assert guards.has_p_x(plain_guard) is False


def test_a_rate_that_was_not_reached_is_known(plain_guard: Run) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(3000) % 3
    logits = random.normal(size=(3000, 3))
    fit: Callable[[float], tuple] = lambda rate: (  # noqa: E731
        selection.fit_all(logits, labels, True, rate)["logit"],
        detector_files.FitSettings("GFZ", "", 10, 0, 3000, rate, "published"),
    )
    assert detector_files.missed_rate(*fit(0.05)) is None
    assert detector_files.missed_rate(*fit(0.9)) == pytest.approx(0.5, abs=0.05)
