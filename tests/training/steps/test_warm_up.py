"""KL warm-up: its weight, what is logged, resumed runs, and the warning of a collapse."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.small import IMAGES, classifier, images, noise_for
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.splits import Split
from tf_deepbayes.models.factorisations import DBX, FACTORISATIONS, GBZ
from tf_deepbayes.training import TrainingSettings, new_runs
from tf_deepbayes.training.journal import read_history
from tf_deepbayes.training.steps import collapse, warm_up
from tf_deepbayes.training.steps.adam import PublishedAdam
from tf_deepbayes.training.steps.collapse import warning_of
from tf_deepbayes.training.train import train
from tf_deepbayes.training.trainers import BoundTrainer

DATA = Split((255 * images(33)).astype(np.uint8), np.arange(33) % 3)
DIGITS = Dataset("digits", DATA, DATA, "memory", sizes=IMAGES)


def settings(epochs: int, kl_warm_up: int | None = None) -> TrainingSettings:
    return TrainingSettings(epochs, 8, learning_rate=1e-3, kl_warm_up=kl_warm_up)


def run(folder: pathlib.Path, epochs: int, kl_warm_up: int | None) -> DBX:
    model = DBX(IMAGES, seed=5)
    train(model, DATA, DATA, settings(epochs, kl_warm_up), folder, verbose=False)
    return model


@pytest.mark.parametrize("name", FACTORISATIONS)
def test_the_loss_weighs_the_latent_terms_and_the_logged_bound_does_not(name: str) -> None:
    model, num_samples, steps = classifier(name), 2, 4
    x, y = images(3), tf.one_hot([0, 2, 1], 3)
    noise = tf.constant(noise_for(model, num_samples, 3)[:, :1])
    terms = model.bound_terms(tf.constant(x), y, noise)
    latent = {"p(z)", "p(z|x)", "p(z|y)", "q(z|x,y)"} & set(terms)
    assert len(latent) == 2
    trainer = BoundTrainer(model, num_samples, kl_warm_up=steps)
    trainer.compile(PublishedAdam(1e-9))
    for step, w in enumerate([0.0, 0.25, 0.5, 0.75, 1.0, 1.0]):
        trainer.reset_metrics()
        _, found_w = trainer.draw(3)
        loss, _ = trainer.descend(x, y, [noise, found_w])
        weighted = sum((w if n in latent else 1.0) * t for n, t in terms.items())
        expected = -tf.reduce_mean(tf.reduce_logsumexp(weighted, 0) - np.log(num_samples))
        np.testing.assert_allclose(loss, expected, rtol=1e-5, err_msg=f"step {step}")
        bound = tf.reduce_mean(model.bound(x, [0, 2, 1], noise))
        np.testing.assert_allclose(trainer.results()["bound"], bound, rtol=1e-5)
        assert float(trainer.results()[warm_up.WEIGHT]) == w


def test_a_run_resumed_in_its_warm_up_ends_where_the_uninterrupted_one_ends(
    tmp_path: pathlib.Path,
) -> None:
    whole = run(tmp_path / "whole", 3, kl_warm_up=10)
    for epochs in (1, 2):
        run(tmp_path / "parts", epochs, kl_warm_up=10)
    parts = run(tmp_path / "parts", 3, kl_warm_up=10)
    for one, other in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    weights = [float(row[warm_up.WEIGHT]) for row in read_history(tmp_path / "parts")]
    assert weights == pytest.approx([0.15, 0.55, 0.925])  # steps 0 … 3, 4 … 7, 8 … 11
    published = run(tmp_path / "published", 3, kl_warm_up=0)
    assert np.abs(published.get_weights()[0] - whole.get_weights()[0]).max() > 0
    assert warm_up.WEIGHT not in read_history(tmp_path / "published")[0]


@pytest.mark.parametrize("name", FACTORISATIONS)
def test_only_dbx_warms_up_unless_asked(name: str, tmp_path: pathlib.Path) -> None:
    settled = new_runs.settled(settings(1), name, tmp_path)
    assert settled.kl_warm_up == settings(1).warm_up_of(name) == (1000 if name == "DBX" else 0)
    assert new_runs.settled(settings(1, 7), name, tmp_path).kl_warm_up == 7


def test_a_run_is_resumed_with_its_own_warm_up(tmp_path: pathlib.Path) -> None:
    model = DBX(IMAGES, seed=0)
    new_runs.train(model, DIGITS, settings(1, 6), tmp_path)
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    assert content["training"]["kl_warm_up"] == 6
    with pytest.raises(InputError, match="kl_warm_up is 6 in the run and 0 in the flags"):
        new_runs.train(model, DIGITS, settings(2, 0), tmp_path)
    new_runs.train(model, DIGITS, settings(2), tmp_path)
    assert json.loads(path.read_text())["training"]["kl_warm_up"] == 6
    # A run of an earlier version, which had no warm-up.
    del content["training"]["kl_warm_up"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="kl_warm_up is 0 in the run and 6 in the flags"):
        new_runs.train(model, DIGITS, settings(3, 6), tmp_path)
    new_runs.train(model, DIGITS, settings(3), tmp_path)
    assert json.loads(path.read_text())["training"]["kl_warm_up"] == 0


def test_dead_features_are_noticed_once(
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collapse, "FEW_STEPS", 1)  # the epochs here are short
    model = DBX(IMAGES, seed=5)
    assert model.p_z_x.features is not None
    model.p_z_x.features.layers[-1].bias.assign(tf.fill([16], -100.0))
    train(model, DATA, DATA, settings(1, 0), tmp_path)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "the gradient of the features was exactly zero" in err
    assert "--kl_warm_up 1000" in err
    train(model, DATA, DATA, settings(2, 0), tmp_path)
    assert not capsys.readouterr().err
    first, second = read_history(tmp_path)
    assert f"warning: {first['warning']}\n" == err and not second["warning"]


@pytest.mark.parametrize("dead", [True, False])
def test_a_dead_decoder_is_noticed(
    dead: bool,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collapse, "FIRST_STEPS", 60)
    model = GBZ(IMAGES, seed=5)
    if dead:
        last = model.p_x_z.network.stack.dense[-1]
        last.bias.assign(tf.fill(last.bias.shape, -100.0))
    train(model, DATA, DATA, settings(20), tmp_path)
    err = capsys.readouterr().err
    assert err.count("\n") == dead and ("the decoder has almost no gradient" in err) == dead
    assert ("again with a lower --learning_rate" in err) == dead
    said = [bool(row.get("warning")) for row in read_history(tmp_path)]
    assert said == [dead and epoch == 14 for epoch in range(20)]  # four steps an epoch


def test_a_bound_at_chance_is_noticed_after_enough_steps() -> None:
    usual = {"log_p_y": -2.31, "feature_gradient": 0.1, "decoder_gradient": 1.0}
    usual |= {"num_classes": 10, "steps": 1500}
    text = warning_of(**usual, kl_warm_up=0)  # type: ignore[arg-type]
    assert text and "stays at log 1/C = -2.303" in text and "--kl_warm_up 1000 and" in text
    text = warning_of(**usual | {"steps": 2000}, kl_warm_up=1000)  # type: ignore[arg-type]
    assert text and "a --kl_warm_up above 1000" in text
    for change in ({"steps": 999}, {"kl_warm_up": 1000}, {"log_p_y": -2.2}, {"log_p_y": None}):
        assert warning_of(**usual | {"kl_warm_up": 0} | change) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [-1, 2.5])
def test_a_bad_number_of_steps_is_refused(steps: float) -> None:
    with pytest.raises(InputError, match="kl_warm_up must be a whole number of at least 0"):
        TrainingSettings(kl_warm_up=steps)  # type: ignore[arg-type]
