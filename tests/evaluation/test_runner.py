"""Running an attack: batches kept on disk, scoring on fresh noise, what an attack may see."""

import errno
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.small import IMAGES, classifier, convnet, images, labels_of
from tf_deepbayes.attacks import FGSM, PGD, Superwhite
from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.attacks.base import AttackedBatch
from tf_deepbayes.core import files
from tf_deepbayes.core.axes import Array, Tensor
from tf_deepbayes.core.errors import InputError, StopRequested
from tf_deepbayes.evaluation import runner
from tf_deepbayes.evaluation.batch_store import AttackStoppedError, BatchStore
from tf_deepbayes.evaluation.runner import run
from tf_deepbayes.evaluation.scoring import EvaluationSet, score
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.run import Run

NET = convnet()
X = images(12, shape=(8, 8, 1))
Y = labels_of(NET, X)
ATTACK = PGD(nb_iter=3, batch_size=5)
SETTINGS = {"attack": ATTACK.settings(), "eps": 0.1}


class KilledError(Exception):
    """Stands for a kill in the middle of an attack."""


class Noisy:
    """A classifier whose logits move with each draw of a generator that can be put back."""

    def __init__(self, scale: float = 0.5) -> None:
        self.generator, self.scale = tf.random.Generator.from_seed(0), scale

    def __call__(self, x: Tensor) -> Tensor:
        logits = NET(x)
        return logits + self.scale * self.generator.normal(tf.shape(logits))

    def reseed(self, number: int) -> None:
        self.generator.reset_from_seed(number % 1000)


def killed_at(batch: int, noisy: Noisy) -> Any:
    """Reseeding that ends the run before a batch."""

    def reseed(number: int) -> None:
        if number == batch:
            raise KilledError
        noisy.reseed(number)

    return reseed


def test_a_killed_attack_ends_as_an_uninterrupted_one(tmp_path: pathlib.Path) -> None:
    noisy = Noisy()
    access, target = ModelAccess(noisy), EvaluationSet.of(noisy, X, Y, draws=2)
    whole = run(ATTACK, access, target, 0.1, reseed=noisy.reseed)
    store = BatchStore(tmp_path / "partial", SETTINGS, resume=False)
    with pytest.raises(KilledError):
        run(ATTACK, access, target, 0.1, store, killed_at(2, noisy))
    assert len(store) == 2
    again = BatchStore(tmp_path / "partial", SETTINGS, resume=True)
    resumed = run(ATTACK, access, target, 0.1, again, noisy.reseed)
    np.testing.assert_array_equal(resumed.adversarial, whole.adversarial)
    assert resumed.figures | {"seconds": 0} == whole.figures | {"seconds": 0}


def test_finished_batches_are_neither_lost_nor_mixed(tmp_path: pathlib.Path) -> None:
    folder, target = tmp_path / "partial", EvaluationSet.of(NET, X, Y, draws=1)
    run(ATTACK, ModelAccess(NET), target, 0.1, BatchStore(folder, SETTINGS, resume=False))
    with pytest.raises(InputError, match=r"holds 3 finished batches .* pass --resume"):
        BatchStore(folder, SETTINGS, resume=False)
    with pytest.raises(InputError, match=r"cannot be resumed: eps is 0.1 there and 0.2 now"):
        BatchStore(folder, {**SETTINGS, "eps": 0.2}, resume=True)
    store = BatchStore(folder, SETTINGS, resume=True)
    assert store.get(0, X[:5]) is not None
    assert store.get(0, X[1:6]) is None  # other images
    assert store.get(7, X[:5]) is None
    (folder / "batch_00000.npz").write_bytes(b"PK half")
    with pytest.raises(InputError, match="damaged"):
        store.get(0, X[:5])
    store.remove()
    assert not folder.exists()


def test_a_full_disk_keeps_the_finished_batches(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BatchStore(tmp_path / "partial", SETTINGS, resume=False)
    store.put(0, X[:5], AttackedBatch(X[:5]))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        store.put(1, X[5:], AttackedBatch(X[5:]))
    assert caught.value.filename == str(store.folder / "batch_00001.npz")
    assert caught.value.__notes__[0].startswith(f"1 finished batch is kept in {store.folder}: fix")
    assert sorted(p.name for p in store.folder.iterdir()) == ["batch_00000.npz", "settings.json"]
    assert store.get(0, X[:5]) is not None


def test_a_nan_stops_the_attack_and_keeps_the_finished_batches(tmp_path: pathlib.Path) -> None:
    """The gradient at the images of the second batch is NaN; their logits are not."""
    bad = tf.reduce_max(tf.constant(X[5:10]), [1, 2, 3])

    def logits_fn(x: Tensor) -> Tensor:
        near = tf.reduce_any(tf.abs(tf.reduce_max(x, [1, 2, 3])[:, None] - bad) < 1e-6, 1)
        root = tf.sqrt(tf.where(near, 0.0, 1.0) * tf.reduce_sum(x, [1, 2, 3]))
        return NET(x) + root[:, None]

    store = BatchStore(tmp_path / "partial", SETTINGS, resume=False)
    target = EvaluationSet.of(logits_fn, X, Y, draws=1)
    attack = PGD(nb_iter=1, batch_size=5, rand_init=False)
    with pytest.raises(AttackStoppedError, match=r"batch 1 .* not finite; 1 finished batch is"):
        run(attack, ModelAccess(logits_fn), target, 0.1, store, zero_gradients=0.0)


def test_logits_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="not finite on 12 of 12 images"):
        EvaluationSet.of(lambda x: NET(x) * np.nan, X, Y)


def logits_for(predicted: Array) -> Array:
    """Logits `[R, N, 5]` of these classes `[R, N]`."""
    return np.eye(5, dtype=np.float32)[predicted]


def test_success_is_averaged_over_draws_and_luck_is_told_apart() -> None:
    target = EvaluationSet.of(NET, X[:4], Y[:4], draws=2)
    wrong = (Y[:4] + 1) % 5
    draws = np.stack([wrong, wrong, Y[:4], Y[:4]])
    draws[:, 0] = wrong[0]  # the first image is broken in every draw
    draws[:, 3] = Y[3]  # the last in none
    figures = score(target, X[:4], logits_for(draws))
    assert figures["success_rate"] == pytest.approx((1 + 0.5 + 0.5 + 0) / 4)
    assert figures["success_in_every_draw"] == pytest.approx(0.25)
    assert figures["success_in_any_draw"] == pytest.approx(0.75)
    assert figures["success_rate_of_draws"] == (pytest.approx(0.25), pytest.approx(0.75))
    assert figures["accuracy"] == pytest.approx(0.5)
    low, high = figures["success_rate_interval"]
    assert low < 0.5 < high


def test_a_lucky_draw_is_not_success() -> None:
    """Noise alone changes every third prediction: eps 0 'succeeds' as often, and it shows."""
    noisy = Noisy(scale=2.0)
    target = EvaluationSet.of(noisy, X, Y, draws=40)
    figures = run(FGSM(), ModelAccess(noisy), target, 0.0).figures
    assert figures["success_in_any_draw"] > 0.8
    assert figures["success_in_every_draw"] < 0.2
    assert abs(figures["success_rate"] - target.clean_prediction_changes) < 0.25


def test_gradients_may_come_from_a_substitute() -> None:
    substitute = convnet()
    target = EvaluationSet.of(NET, X, Y, draws=1)
    own = run(ATTACK, ModelAccess(NET), target, 0.2).figures
    other = run(ATTACK, ModelAccess(substitute), target, 0.2).figures
    assert other["success_rate"] == own["success_rate"]  # the same weights, another function
    blind = run(ATTACK, ModelAccess(lambda x: NET(tf.image.flip_up_down(x))), target, 0.2).figures
    assert blind["success_rate"] < own["success_rate"]


def test_no_samples_are_refused_instead_of_taken_for_the_default() -> None:
    config = RunConfig("GBY", "mnist", IMAGES, "l2", 0, {})
    victim = Run(pathlib.Path("run"), config, classifier("GBY"), Sampling(2))
    with pytest.raises(InputError, match="attack_samples must be a whole number of at least 1"):
        victim.access(0)


def test_an_attack_that_sees_what_is_not_there_is_refused() -> None:
    target = EvaluationSet.of(NET, X, Y, draws=1)
    with pytest.raises(InputError, match="Superwhite needs the classifier's log_weights"):
        run(Superwhite(), ModelAccess(NET), target, 0.1)


def test_an_attack_that_is_asked_to_stop_keeps_the_batch_it_is_at(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, noisy = EvaluationSet.of(NET, X, Y, batch_size=5), Noisy()
    store = BatchStore(tmp_path / "batches", SETTINGS, resume=False)
    asked = iter([False, True])
    monkeypatch.setattr(runner, "stop_requested", lambda: next(asked))
    with pytest.raises(StopRequested, match=r"^1 finished batch is kept in .*batches$"):
        run(ATTACK, ModelAccess(noisy), target, 0.1, store, noisy.reseed)
    assert len(store) == 1
