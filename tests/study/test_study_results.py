"""Results on disk as frames, as the apps write them and damaged."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest

from tests.study.synthetic import Runs
from tf_deepbayes.attacks import PGD, Superwhite
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.study.results import Study, in_order
from tf_deepbayes.study.rows import kind_of, share, threat_of


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> Runs:
    """One run with an attack that was detected."""
    found = Runs(tmp_path, images=20)
    found.run("GFZ", epochs=30)
    found.detect("GFZ", found.attack("GFZ", 0.1, 0.5), {"kl": 0.8})
    return found


def test_a_row_says_what_the_result_says(runs: Runs) -> None:
    study = Study.read(runs.root)
    row = study.attacks.iloc[0]
    assert (row.data, row.model, row.seed, row.epochs, row.asked) == ("mnist", "GFZ", 0, 30, 100)
    assert (row.attack, row.kind, row.threat, row.eps) == ("fgsm", "", "white box", "0.1")
    assert (row.n, row.K, row.noise, row.draws) == (20, 10, "independent", 5)
    assert row.path == "mnist/GFZ/attacks/fgsm_eps0.10.json" and not row.stale
    outcome = study.outcomes(row.path)
    assert outcome is not None and outcome.right.mean() == pytest.approx(row.accuracy)
    detection = study.detections.iloc[0]
    assert detection["name"] == row["name"] and detection.rate == 0.8 and detection.guard is None


def test_seeds_are_of_one_model(runs: Runs) -> None:
    runs.run("GFZ", seed=2)
    found = Study.read(runs.root).runs
    assert list(found.model) == ["GFZ", "GFZ"] and sorted(found.seed) == [0, 2]


def test_a_run_without_trained_json_is_judged_by_its_history(runs: Runs) -> None:
    (runs.folder("GFZ") / "trained.json").unlink()
    row = Study.read(runs.root).runs.iloc[0]
    assert row.epochs == 30 and row.weights is None


def test_only_the_data_sets_asked_for(runs: Runs) -> None:
    Runs(runs.root, "fashion_mnist").run("DFX")
    assert set(Study.read(runs.root).runs.data) == {"mnist", "fashion_mnist"}
    assert set(Study.read(runs.root, data=["fashion_mnist"]).runs.data) == {"fashion_mnist"}
    with pytest.raises(InputError, match="no runs of cifar10 in"):
        Study.read(runs.root, data=["cifar10"])


def test_each_data_set_may_be_in_a_folder_of_its_own(tmp_path: pathlib.Path) -> None:
    """As rounds of training leave them: epochs20/mnist and epochs10/fashion_mnist."""
    first, second = Runs(tmp_path / "epochs20"), Runs(tmp_path / "epochs10", "fashion_mnist")
    first.run("GFZ")
    second.run("DFX")
    study = Study.read(first.root, second.root)
    assert list(study.runs.folder) == ["epochs10/fashion_mnist/DFX", "epochs20/mnist/GFZ"]
    assert study.root == tmp_path


def settings(**more: Any) -> dict[str, Any]:
    return {"substitute": None, **more}


def test_threats_are_called_as_in_the_paper() -> None:
    pgd, superwhite = PGD().settings(), Superwhite().settings()
    assert threat_of(settings(), pgd) == "white box"
    assert threat_of(settings(substitute="runs/mnist/GFZ_distilled"), pgd) == "grey box"
    assert threat_of(settings(substitute="runs/mnist/GFZ_jacobian/"), pgd) == "black box"
    assert threat_of(settings(substitute="runs/mnist/DFX"), pgd) == "transfer from DFX"
    assert threat_of(settings(), superwhite) == "WB+S"
    assert threat_of(settings(), superwhite | {"detector": {"name": "kl"}}) == "WB+S+K"
    assert threat_of(settings(), superwhite | {"detector": {"name": "tv"}}) == "WB+S+tv"
    assert threat_of(settings(substitute="distilled/mnist/DFX"), pgd) == "transfer from DFX"


def test_a_kind_is_what_is_not_as_published() -> None:
    assert kind_of(PGD(batch_size=7).settings(), {}) == ""
    assert kind_of(PGD(nb_iter=100).settings(), {}) == "nb_iter100"
    assert "log_odds" in kind_of(PGD(loss="log_odds").settings(), {})
    assert kind_of(PGD().settings(), {"label_only": True}) == "label_only"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("figures", "accuracy"), 1.5),
        (("figures", "accuracy"), float("nan")),
        (("figures", "num_images"), "many"),
        (("figures",), None),
        (("settings", "eps"), -1),
        (("settings", "num_samples"), []),
    ],
)
def test_damage_is_named(runs: Runs, place: tuple[str, ...], value: Any) -> None:
    path = runs.folder("GFZ") / "attacks" / "fgsm_eps0.10.json"
    content = json.loads(path.read_text())
    inner = content
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"fgsm_eps0\.10\.json is damaged"):
        Study.read(runs.root)


def test_damaged_outcomes_are_named(runs: Runs) -> None:
    path = runs.folder("GFZ") / "attacks" / "fgsm_eps0.10.npz"
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | {"labels": arrays["labels"][:3]}))
    with pytest.raises(InputError, match="do not fit together"):
        Study.read(runs.root).outcomes("mnist/GFZ/attacks/fgsm_eps0.10.json")


def test_models_are_in_the_papers_order() -> None:
    models = ["DFZ", "GBZ_Z16", "CNN", "GBZ", "BNN", "GFZ"]
    assert sorted(models, key=in_order) == ["BNN", "GFZ", "GBZ", "GBZ_Z16", "DFZ", "CNN"]


def test_a_share_may_be_rounded() -> None:
    assert share(1.0000000000000002) == 1.0 and share(-1e-17) == 0.0
    with pytest.raises(ValueError, match="expected a share"):
        share(1.001)


def test_how_many_images_a_detection_used(runs: Runs) -> None:
    name = runs.attack("GFZ", 0.1, 0.5)
    few = {"labels": runs.labels[:12], "predicted": runs.labels[:12]}
    runs.detect("GFZ", name, {"kl": 0.8}, outcomes=few, settings={"indices": ["a.json"]})
    study = Study.read(runs.root)
    row = study.detections.iloc[0]
    assert row.is_chosen and study.num_detected(row.path, True, 20) == 12
    assert study.num_detected(row.path, False, 20) == 20
    assert study.num_detected("mnist/GFZ/detection/none.json", True, 20) == 0
