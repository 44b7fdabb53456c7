"""Substitutes: the victim's answers kept on disk, Jacobian steps, agreement, transfer."""

import json
import pathlib
import subprocess
from collections.abc import Callable

import numpy as np
import pytest

from tests.models.test_baselines import easy, trained
from tests.small import IMAGES, convnet, images
from tf_deepbayes.attacks import FGSM
from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.models.baselines import BNN, CNN, Baseline
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.run import Run
from tf_deepbayes.training import substitutes
from tf_deepbayes.training.settings import TrainingSettings
from tf_deepbayes.training.substitute_runs import SubstituteRun, num_seed_images
from tf_deepbayes.training.substitutes import (
    JacobianSettings,
    Oracle,
    agreement_figures,
    jacobian_step,
)

App = Callable[..., "subprocess.CompletedProcess[str]"]
TEST = easy(60, seed=7)
TWO_ROUNDS = JacobianSettings(augmentation_rounds=2)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    """A dropout network that knows the easy classes: its answers are noisy."""
    return trained("BNN", tmp_path_factory.mktemp("victim"))


def oracle(victim: Baseline, folder: pathlib.Path) -> Oracle:
    return Oracle(victim.logits, folder / "answers", victim.generator, seed=1, verbose=False)


def settings(epochs: int) -> TrainingSettings:
    return TrainingSettings(epochs, batch_size=12, learning_rate=1e-2)


def make(kind: str, victim: Baseline, folder: pathlib.Path, seed: int = 0) -> tuple[CNN, int]:
    """A substitute of that kind and the number of queries; validated on the true labels."""
    substitute = CNN(IMAGES, seed)
    asked = oracle(victim, folder)
    if kind == "distilled":
        arguments = (substitute, easy(96, seed=4).images, TEST, settings(6), folder)
        return substitute, substitutes.distil(asked, *arguments)
    arguments = (substitute, easy(24, seed=5).images, TEST, settings(4), folder)
    return substitute, substitutes.train_by_queries(asked, *arguments, TWO_ROUNDS)


class TestOracle:
    def test_answers_are_the_softmax_of_the_victims_logits(
        self, victim: Baseline, tmp_path: pathlib.Path
    ) -> None:
        pixels = images(7)
        found = Oracle(lambda x: victim.logits(x, mode="mean"), tmp_path, verbose=False).ask(
            "a", pixels
        )
        logits = victim.logits(pixels, mode="mean").numpy().astype(np.float64)
        softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(found, softmax, rtol=1e-4)

    def test_a_run_that_was_stopped_asks_only_what_is_left_and_gets_the_same(
        self, victim: Baseline, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(substitutes, "CHUNK", 10)
        pixels = images(25)
        asked: list[int] = []

        def stops(x: Tensor) -> Tensor:
            if len(asked) == 2:
                raise KeyboardInterrupt
            asked.append(len(x))
            return victim.logits(x)

        whole = oracle(victim, tmp_path / "whole").ask("a", pixels)
        with pytest.raises(KeyboardInterrupt):
            Oracle(stops, tmp_path / "cut", victim.generator, 1, verbose=False).ask("a", pixels)
        with np.load(tmp_path / "cut" / "a.npz") as kept:
            np.testing.assert_array_equal(kept["probabilities"], whole[:20])
        rest = Oracle(victim.logits, tmp_path / "cut", victim.generator, 1, verbose=False)
        np.testing.assert_array_equal(rest.ask("a", pixels), whole)
        rest = Oracle(stops, tmp_path / "cut", victim.generator, 1, verbose=False)
        np.testing.assert_array_equal(rest.ask("a", pixels), whole)

    def test_other_queries_meet_other_noise(self, victim: Baseline, tmp_path: pathlib.Path) -> None:
        asked, pixels = oracle(victim, tmp_path), images(5)
        first, again = asked.ask("a", pixels), asked.ask("b", pixels, first=5)
        assert np.abs(first - again).max() > 1e-4
        np.testing.assert_array_equal(first, asked.ask("c", pixels))

    def test_files_that_do_not_fit_are_refused(
        self, victim: Baseline, tmp_path: pathlib.Path
    ) -> None:
        asked = oracle(victim, tmp_path)
        asked.ask("a", images(5))
        with pytest.raises(ValueError, match=r"a.npz holds 5 answers to 3 images; delete it"):
            asked.ask("a", images(3))
        (asked.folder / "a.npz").write_bytes(b"PK\x03\x04 half")
        with pytest.raises(ValueError, match=r"a.npz is damaged .*; delete it"):
            asked.ask("a", images(5))


def test_jacobian_steps_equal_finite_differences() -> None:
    """The sign of the slope of the label's logit at every pixel, in float64 differences."""
    model, x, labels = convnet(), images(3, shape=(8, 8, 1)), np.array([4, 0, 2])
    found = jacobian_step(model, x, labels, step=0.1, batch_size=2)
    h, slopes = 1e-2, np.zeros((3, 64))
    for pixel in range(64):
        offset = np.zeros((1, 8, 8, 1), np.float32)
        offset.reshape(-1)[pixel] = h
        above, below = (model(x + sign * offset).numpy().astype(np.float64) for sign in (1, -1))
        slopes[:, pixel] = ((above - below) / (2 * h))[np.arange(3), labels]
    expected = np.clip(x + 0.1 * np.sign(slopes).reshape(x.shape), 0.0, 1.0)
    clear = np.abs(slopes).reshape(x.shape) > 1e-2
    assert clear.mean() > 0.9
    np.testing.assert_allclose(found[clear], expected[clear], atol=1e-6)
    assert found.min() >= 0.0 and found.max() <= 1.0


@pytest.mark.parametrize(("kind", "queries"), [("distilled", 96), ("jacobian", 24 * 4)])
def test_a_substitute_agrees_with_its_victim_and_its_attacks_transfer(
    kind: str, queries: int, victim: Baseline, tmp_path: pathlib.Path
) -> None:
    substitute, asked = make(kind, victim, tmp_path)
    assert asked == queries
    classes = [model.logits(TEST.pixels).numpy().argmax(1) for model in (substitute, victim)]
    assert (classes[0] == classes[1]).mean() > 0.8
    attacked = FGSM()(substitute.logits, TEST.pixels, TEST.labels, 0.5)
    noise = np.sign(images(len(TEST), seed=3) - 0.5) * 0.5
    random = np.clip(TEST.pixels + noise, 0.0, 1.0).astype(np.float32)
    accuracies = [
        (victim.logits(x).numpy().argmax(1) == TEST.labels).mean() for x in (attacked, random)
    ]
    assert accuracies[0] < accuracies[1] - 0.2


@pytest.mark.parametrize("kind", ["distilled", "jacobian"])
def test_a_resumed_substitute_ends_with_the_same_bits(
    kind: str, victim: Baseline, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(kind, victim, tmp_path / "whole")
    save = checkpoints.save

    def power_cut(folder: pathlib.Path, model: Baseline, optimizer: object, epoch: int) -> None:
        if epoch == 6:
            raise KeyboardInterrupt
        save(folder, model, optimizer, epoch)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "save", power_cut)
        with pytest.raises(KeyboardInterrupt):
            make(kind, victim, tmp_path / "cut")
    make(kind, victim, tmp_path / "cut")
    files = [path / checkpoints.CHECKPOINT for path in (tmp_path / "whole", tmp_path / "cut")]
    with np.load(files[0]) as whole, np.load(files[1]) as cut:
        assert whole["epoch"] == cut["epoch"] == (6 if kind == "distilled" else 12)
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], cut[name])


def test_rounds_double_the_images_by_steps_into_the_victims_classes(
    victim: Baseline, tmp_path: pathlib.Path
) -> None:
    make("jacobian", victim, tmp_path)
    with (
        np.load(tmp_path / "answers" / "images1.npz") as first,
        np.load(tmp_path / "answers" / "images2.npz") as second,
    ):
        seeds = easy(24, seed=5).pixels
        assert first["images"].shape == (24, 28, 28, 1) and len(second["images"]) == 48
        steps = np.unique(np.round(np.abs(first["images"] - seeds), 5))
        assert steps.max() == pytest.approx(0.1)
        moved = np.abs(second["images"][24:] - first["images"]).max()
        assert moved == pytest.approx(0.1, abs=1e-6)


def test_agreement_figures() -> None:
    truth = np.array([0, 1, 2, 2])
    victim, again, substitute = (
        np.array([0, 1, 1, 2]),
        np.array([0, 1, 2, 2]),
        np.array([0, 0, 1, 1]),
    )
    figures = agreement_figures(substitute, victim, again, truth)
    low, high = figures.pop("agreement_interval")
    assert 0.0 < low < 0.5 < high < 1.0
    assert figures == {
        "num_images": 4,
        "agreement": 0.5,
        "victim_self_agreement": 0.75,
        "victim_accuracy": 0.75,
        "substitute_accuracy": 0.25,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augmentation_rounds": -1}, "augmentation_rounds must be a whole number of at least 0"),
        ({"step": 0.0}, "lambda must be above 0 and at most 1, got 0"),
        ({"step": float("nan")}, "lambda must be above 0 and at most 1, got nan"),
    ],
)
def test_bad_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JacobianSettings(**changes)


def test_a_black_box_substitute_begins_with_the_images_of_the_paper(
    victim: Baseline, tmp_path: pathlib.Path
) -> None:
    """200 for each class, from the test set; half of a test set that has less than twice those."""
    sizes = {(10, 10_000): 2000, (2, 2000): 400, (10, 1000): 500}
    assert {key: num_seed_images(*key) for key in sizes} == sizes
    queries = [count * 2 ** JacobianSettings().augmentation_rounds for count in (2000, 400)]
    assert queries == [64_000, 12_800]
    test = easy(1500, seed=8)
    data = Dataset("mnist", easy(10), test, "here", sizes=IMAGES)
    config = checkpoints.RunConfig("BNN", "mnist", IMAGES, None, 0, {})
    run = Run(tmp_path / "BNN", config, victim, Sampling())
    for given, count in ((None, 600), (200, 200)):
        images, compared = SubstituteRun(
            run, settings(1), JacobianSettings(), given
        )._choose_images(data)
        np.testing.assert_array_equal(images, test.images[1500 - count :])
        np.testing.assert_array_equal(compared.images, test.images[: min(1000, 1500 - count)])


def test_the_app_writes_a_run_folder_that_apps_attack(app: App, tmp_path: pathlib.Path) -> None:
    run = tmp_path / "BNN"
    sizes = IMAGES.replace(num_classes=10)
    config = checkpoints.RunConfig("BNN", "mnist_5k", sizes, None, 0, {})
    checkpoints.save_config(run, config)
    checkpoints.save(run, BNN(sizes), epoch=1)
    common = ["--victim", run, "--kind", "jacobian", "--num_seed_images", 50, "--epochs", 1]
    rounds = ["--augmentation_rounds", 1]
    done = app("attack/substitute.py", *common, "--num_train", 5)
    message = "error: --num_train does not apply to --kind jacobian; leave it out"
    assert done.returncode == 2 and done.stderr.splitlines() == [message]
    assert not (run / "substitute_jacobian").exists()
    done = app("attack/substitute.py", *common, *rounds)
    assert done.returncode == 0, done.stderr
    result = json.loads((run / "substitute_jacobian" / "substitute.json").read_text())
    assert result["settings"]["victim"] == "BNN" and result["figures"]["num_queries"] == 100
    assert result["figures"]["num_images"] == 950 and result["settings"]["lambda"] == 0.1
    model, config = checkpoints.load_model(run / "substitute_jacobian")
    assert isinstance(model, CNN) and config.data == "mnist_5k"
