"""Results are told by the attack's settings, whatever the text that earlier ones hold."""

import dataclasses
import json

import numpy as np
import pytest

from tf_deepbayes import attacks
from tf_deepbayes.attacks.white_box.bounded import Bounded
from tf_deepbayes.detection import Logit
from tf_deepbayes.evaluation.identity import differing, read_call

LABELS = np.arange(20) % 2
POOL = attacks.GuideImages(np.zeros((3, 8, 8, 1), np.float32), np.array([0, 1, 2]))
FITTED = Logit().fit(np.random.default_rng(0).normal(size=(20, 2)), LABELS)
THRESHOLDS = FITTED.settings()["thresholds"]
COMMON = "targeted=False, batch_size=100"
PGD_TEXT = (
    f"{COMMON}, norm=inf, loss='cross_entropy', nb_iter=40, eps_iter=0.01, rand_init=True, eot=1, "
    "seed=0, lazy_classes=0"
)
# Attack → the text by which results of the first release name it.
EARLIER = {
    attacks.FGSM(): f"FGSM({COMMON}, norm=inf, loss='cross_entropy')",
    attacks.PGD(): f"PGD({PGD_TEXT})",
    attacks.PGD(early_stop=True): f"PGD({PGD_TEXT})",
    attacks.Superwhite(detector=FITTED): (
        f"Superwhite({PGD_TEXT}, detector=Logit('logit', 'published', false_positive_rate=0.05, "
        f"thresholds={THRESHOLDS}), detection_lambda=0.1, snapshot=False, gather='own')"
    ),
    attacks.LogitMatching(): f"Matching({PGD_TEXT.replace('=40', '=100')}, pool=None)",
    Bounded(): (
        f"Bounded({COMMON}, attack=CarliniWagnerL2({COMMON}, nb_iter=1000, learning_rate=0.01, "
        "confidence=0.0, binary_search_steps=1, lazy_classes=0), size=1.0)"
    ),
}


@pytest.mark.parametrize("attack", EARLIER, ids=lambda attack: type(attack).__name__)
def test_the_text_of_an_earlier_result_is_the_same_attack(attack: attacks.Attack) -> None:
    wanted = {"attack": attack.settings(), "eps": 0.1}
    assert not differing({"attack": EARLIER[attack], "eps": 0.1}, wanted)
    other = dataclasses.replace(attack, batch_size=7)
    assert differing({"attack": EARLIER[attack], "eps": 0.1}, wanted | {"eps": 0.2}) == [
        "eps is 0.1 there and 0.2 now"
    ]
    (said,) = differing({"attack": EARLIER[attack]}, {"attack": other.settings()})
    assert said == "batch_size is 100 there and 7 now"


def test_settings_survive_json_and_tell_every_setting_apart() -> None:
    for name, kind in attacks.ATTACKS.items():
        wanted = {"attack": kind().settings()}
        found = json.loads(json.dumps(wanted, allow_nan=False))
        assert found["attack"]["name"] == name and not differing(found, wanted)
    for change in ({"nb_iter": 41}, {"eps_iter": 0.011}, {"norm": 2.0}, {"early_stop": True}):
        wanted = {"attack": attacks.PGD(**change).settings()}
        (said,) = differing({"attack": attacks.PGD().settings()}, wanted)
        assert said.startswith(f"{next(iter(change))} is ")


def test_a_result_older_than_a_setting_was_made_with_its_default() -> None:
    found = attacks.PGD().settings()
    del found["lazy_classes"]
    assert not differing({"attack": found}, {"attack": attacks.PGD().settings()})
    wanted = {"attack": attacks.PGD(lazy_classes=2).settings()}
    assert differing({"attack": found}, wanted) == ["lazy_classes is 0 there and 2 now"]


def test_images_to_imitate_are_told_by_their_values() -> None:
    wanted = {"attack": attacks.LogitMatching(guides=POOL).settings()}
    other = attacks.GuideImages(POOL.images + 0.5, POOL.labels)
    assert not differing(wanted, wanted)
    (said,) = differing({"attack": attacks.LogitMatching(guides=other).settings()}, wanted)
    assert said.startswith("guides digest is ") and len(said) < 60


def test_what_is_no_attack_differs() -> None:
    assert read_call("not a call (") is None
    assert differing({"attack": "__import__('os')"}, {"attack": attacks.PGD().settings()})
    (said,) = differing({"attack": None}, {"attack": attacks.PGD().settings()})
    assert said == "attack is not recorded there and pgd now"


def test_a_younger_setting_tells_results_apart_where_it_is_not_the_default() -> None:
    """It is recorded only there, on either side."""
    old, new = (
        {"attack": attacks.PGD(schedule=kind).settings()} for kind in ("constant", "linear")
    )
    assert not differing(old, old) and not differing(new, new)
    assert differing(old, new) == ["schedule is constant there and linear now"]
    assert differing(new, old) == ["schedule is linear there and constant now"]


def test_a_setting_that_is_only_said_where_it_is_used_tells_results_apart() -> None:
    assert differing({"mixed_precision": True}, {}) == [
        "mixed_precision is True there and False now"
    ]
    said = differing(
        {"attacks": ["noise"], "norm": 2.0, "decompose": {"draws": 10}}, {"seed": None}
    )
    assert [one.split(" ")[0] for one in said] == ["norm", "attacks", "decompose"]
    assert "image_order is random there and file now" in differing({"image_order": "random"}, {})
    for same in ({"norm": 2.0, "jit_compile": True}, {}):
        assert differing(same, same) == []
