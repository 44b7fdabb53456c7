"""Attacks on the published model with the same noise at every step, against the published ones."""

import functools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import Golden, golden
from tf_deepbayes.attacks import FGSM, MIM, PGD, CarliniWagnerL2, losses
from tf_deepbayes.attacks.white_box.lazy_logits import EveryClass
from tf_deepbayes.attacks.white_box.pgd import StepRule, StepSizes, run_steps
from tf_deepbayes.core.axes import LogitsFn
from tf_deepbayes.core.metrics import perturbation_norms
from tf_deepbayes.legacy.variables import model_from_params


@functools.cache
def victim() -> tuple[Golden, LogitsFn]:
    """The attacks file, with the model's images, and the logits with the noise that was used."""
    model_file = golden("mnist_small_A")
    model = model_from_params(model_file.group("param"), "A")
    noise = model_file["eps/logits"].transpose(1, 0, 2, 3)
    data = golden("attacks")
    data.arrays.update({"x": model_file["x"], "y": model_file["labels"]})
    return data, functools.partial(model.logits, noise=noise)


def test_fgsm_equals_the_published_one() -> None:
    data, logits_fn = victim()
    adversarial = FGSM(batch_size=4)(logits_fn, data["x"], data["y"], data.meta["eps"])
    clear = np.abs(data["A/fgsm/grad"][0]) > 1e-5  # below it the sign is noise
    np.testing.assert_allclose(adversarial[clear], data["A/fgsm/adv"][clear], rtol=0, atol=1e-6)
    assert clear.mean() > 0.9


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("name", ["pgd", "pgd_targeted"])
def test_each_pgd_step_equals_the_published_one(name: str, step: int) -> None:
    """From the published image before the step, since a sign of noise would run away."""
    data, logits_fn = victim()
    targeted = name == "pgd_targeted"
    y = data["A/y_target"].argmax(1) if targeted else data["y"]
    before = data[f"A/{name}/iter_adv"][step - 1] if step else data["x"]
    pgd = PGD(nb_iter=1, rand_init=False, targeted=targeted, eps_iter=data.meta["eps_iter"])
    stepped = one_step(pgd, logits_fn, data["x"], before, y, data.meta["eps"])
    clear = np.abs(data[f"A/{name}/grad"][step]) > 1e-5
    expected = np.clip(data[f"A/{name}/iter_adv"][step], 0, 1)
    np.testing.assert_allclose(stepped[clear], expected[clear], rtol=0, atol=1e-6)


def one_step(
    attack: PGD, logits_fn: LogitsFn, x: np.ndarray, start: np.ndarray, y: np.ndarray, eps: float
) -> np.ndarray:
    """A step of the attack from `start` instead of x."""
    rule = StepRule(losses.get(attack.loss), attack.norm, attack.targeted, False, False)
    step, one = tf.constant(attack.eps_iter), tf.constant(1)
    sizes = StepSizes(tf.constant(eps), step, one, tf.constant(0.0), one, one)
    images = (tf.constant(value) for value in (x, start, y))
    return run_steps(rule, sizes, EveryClass(logits_fn), logits_fn, *images)[0].numpy()


def test_mim_equals_the_published_one() -> None:
    data, logits_fn = victim()
    mim = MIM(nb_iter=5, eps_iter=data.meta["eps_iter"], batch_size=4)
    adversarial = mim(logits_fn, data["x"], data["y"], data.meta["eps"])
    different = np.abs(adversarial - data["A/mim/adv"]) > 1e-5
    # A pixel whose momentum is near zero may go either way and then differs to the end.
    assert different.mean() < 0.01


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cw_ytrue", {"nb_iter": 20}),
        ("cw_ypred", {"nb_iter": 20}),
        ("cw_ypred_lr0.1_it60", {"nb_iter": 60, "learning_rate": 0.1}),
    ],
)
def test_carlini_wagner_equals_the_published_one(name: str, options: dict[str, Any]) -> None:
    data, logits_fn = victim()
    attack = CarliniWagnerL2(batch_size=4, **options)
    adversarial = attack(logits_fn, data["x"], data[f"A/{name}/y"], 10.0)
    expected = data[f"A/{name}/adv"]
    norms = perturbation_norms(data["x"], adversarial)["l2"]
    np.testing.assert_allclose(norms, perturbation_norms(data["x"], expected)["l2"], rtol=0.02)
    np.testing.assert_allclose(adversarial, expected, atol=0.02)
    predicted = logits_fn(adversarial).numpy().argmax(1)
    found = predicted != data[f"A/{name}/y"].argmax(1)
    np.testing.assert_array_equal(found, data[f"A/{name}/success"])
