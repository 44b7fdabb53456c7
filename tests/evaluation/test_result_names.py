"""Names of results: the published ones, and different ones for different settings."""

import itertools

import numpy as np
import pytest

from tf_deepbayes import attacks
from tf_deepbayes.attacks import FGSM, MIM, PGD, SPSA, CarliniWagnerL2, RandomNoise, Superwhite
from tf_deepbayes.attacks.text_settings import text_settings
from tf_deepbayes.detection import Logit
from tf_deepbayes.evaluation.result_names import (
    attack_name,
    attack_parts,
    parts_of,
    same_size,
    split_name,
)

FITTED = Logit().fit(np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2)


def name_of(attack: attacks.Attack, eps: float) -> str:
    return attack_name(str(attack.name), attack, eps, attack_parts(attack))


@pytest.mark.parametrize(
    ("attack", "eps", "name"),
    [
        (FGSM(), 0.1, "fgsm_eps0.10"),
        (FGSM(targeted=True), 0.3, "fgsm_eps0.30_targeted"),
        (CarliniWagnerL2(), 1.0, "cw_c1.00_lr0.010"),
        (Superwhite(detector=FITTED), 0.2, "superwhite_eps0.20_lambda0.1"),
        (FGSM(), 8 / 255, "fgsm_eps0.03137254901960784"),
        (FGSM(), 1e-5, "fgsm_eps1e-05"),
        (PGD(loss="log_odds", nb_iter=100), 0.1, "pgd_log_odds_nb_iter100_eps0.10"),
        (PGD(rand_init=False, norm=2), 1.0, "pgd_norm2_no_rand_init_eps1.00"),
        (MIM(**text_settings("mim")), 0.1, "mim_nb_iter40_eps0.10"),
        (CarliniWagnerL2(**text_settings("cw")), 10.0, "cw_c10.00_lr0.010"),
        (CarliniWagnerL2(**text_settings("cw")), 1000.0, "cw_c1000.00_lr0.100"),
        (SPSA(**text_settings("spsa")), 0.3, "spsa_spsa_samples2000_stop_above5_eps0.30"),
        (PGD(**text_settings("pgd")), 0.3, "pgd_eps0.30"),
        (PGD(eps_iter=0.0025, batch_size=7), 0.1, "pgd_eps_iter0.0025_eps0.10"),
    ],
)
def test_published_settings_have_the_published_name_and_others_say_so(
    attack: attacks.Attack, eps: float, name: str
) -> None:
    assert name_of(attack, eps) == name


def test_different_settings_have_different_names() -> None:
    made: list[attacks.Attack] = [
        *(PGD(), PGD(loss="log_odds"), PGD(nb_iter=41), PGD(eot=2), PGD(lazy_classes=5)),
        *(PGD(early_stop=True), PGD(early_stop=True, check_every=5), PGD(norm=2), MIM()),
        *(MIM(decay_factor=0.9), SPSA(), SPSA(learning_rate=0.02), SPSA(delta=0.02)),
        *(CarliniWagnerL2(learning_rate=r) for r in (0.01, 0.011, 0.0104)),
        *(Superwhite(detector=FITTED, detection_lambda=weight) for weight in (0.1, 0.11, 0.14)),
        *(Superwhite(), Superwhite(snapshot=True), Superwhite(gather="published")),
        *(RandomNoise(), RandomNoise(corners=True), RandomNoise(rescore=2)),
    ]
    sizes = (0.03, 0.034, 0.1, 0.1001, 8 / 255)
    names = [name_of(attack, eps) for attack, eps in itertools.product(made, sizes)]
    assert len(set(names)) == len(made) * len(sizes)


def test_the_size_of_a_name_is_read_as_a_number() -> None:
    assert same_size("fgsm_eps0.1") == "fgsm_eps0.10"
    assert same_size("fgsm_eps0.034_targeted") == "fgsm_eps0.034_targeted"
    assert same_size("superwhite_eps.2_lambda0.1") == "superwhite_eps0.20_lambda0.1"
    assert same_size("cw_c1_lr0.010") == "cw_c1.00_lr0.010"
    assert split_name("pgd_log_odds_eps0.10_targeted") == ("pgd_log_odds", "eps0.10_targeted")
    assert split_name("mine") == ("mine", "")


def test_parts_say_only_what_differs() -> None:
    defaults = {"K": 10, "mode": "sample", "label_only": False}
    assert parts_of(defaults, defaults) == []
    given = {"K": 20, "mode": "mean", "label_only": True}
    assert parts_of(given, defaults) == ["K20", "mean", "label_only"]
