"""How success and rejection are counted, and the published settings of each attack."""

import pathlib
import types
from typing import Any, cast

import keras
import numpy as np
import pytest

from tests.conftest import ROOT
from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.detection import Divergence
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.runs.adaptive import table as module
from tf_deepbayes.runs.adaptive.table import AdaptiveTable, counted, published_rows
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.detector_files import FitSettings
from tf_deepbayes.runs.results import write_result
from tf_deepbayes.runs.run import Run
from tf_deepbayes.study.results import adaptive_files

CONFIG = RunConfig("GBZ", "cifar10", Architecture((32, 32, 3), 10, 64, 500), "l2", 0, {})


def test_counting_is_over_all_images() -> None:
    random = np.random.default_rng(0)
    train = 3.0 * random.normal(size=(90, 3))
    detector = Divergence("kl").fit(train, train.argmax(1), 0.3)
    logits, labels = 3.0 * random.normal(size=(50, 3)), np.arange(50) % 3
    found = counted(logits, labels, detector)
    wrong, rejected = logits.argmax(1) != labels, detector.reject(logits)
    assert found == {
        "success": np.count_nonzero(wrong) / 50,
        "rejected": np.count_nonzero(rejected) / 50,
        "passed": np.count_nonzero(wrong & ~rejected) / 50,
    }


def table_of(folder: pathlib.Path, seed: int = 0, **given: Any) -> AdaptiveTable:
    """A table of a run whose detector is fitted already; no attack is run."""
    model = cast(keras.Model, types.SimpleNamespace(factors=[], logits=len))
    table = AdaptiveTable(lambda: Run(folder, CONFIG, model, Sampling(10, seed=seed)), **given)
    num_train = given.get("num_train") or 50_000
    settings = FitSettings("GBZ_mid", "abc", 10, seed, num_train, 0.05, "published")
    # Cached properties: what is in their place is not computed.
    vars(table).update(run=table.load(), fitted=({}, settings))
    return table


def test_the_seed_of_the_run_is_that_of_every_attack(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = list[tuple[int, ...]]()

    def record(*sizes: int) -> dict[str, Any]:
        given.append(sizes)
        return {}

    monkeypatch.setattr(module, "published_rows", record)
    assert table_of(tmp_path, seed=3).rows() == {} and given == [(200, 1, 3)]
    for seed in (0, 3):
        rows = published_rows(200, 1, seed).values()
        assert {row.attack.seed for row in rows} == {seed}  # type: ignore[attr-defined]


def test_every_setting_that_is_not_published_is_in_the_name(tmp_path: pathlib.Path) -> None:
    given: list[dict[str, Any]] = [
        {},
        {"num_images": 200},
        {"check_every": 20},
        {"num_train": 10_000},
        {"targets": ["4", "0"]},
        {"num_images": 200, "check_every": 20, "num_train": 10_000, "targets": ["4", "0"]},
    ]
    tables = [table_of(tmp_path, **settings) for settings in given]
    assert [table.path.stem for table in tables] == [
        "adaptive",
        "adaptive_n200",
        "adaptive_check_every20",
        "adaptive_num_train10000",
        "adaptive_targets4_0",
        "adaptive_n200_check_every20_num_train10000_targets4_0",
    ]
    written = {table.write({}) for table in tables}
    assert len(written) == len(given) and set(adaptive_files(tmp_path)) == written
    assert tables[-1].settings()["targets"] == ["4", "0"]


def test_a_table_of_earlier_versions_keeps_its_name(tmp_path: pathlib.Path) -> None:
    """They named neither check_every nor num_train, and did not record targets."""
    table = table_of(tmp_path, num_images=200, check_every=20, num_train=10_000)
    settings = {name: v for name, v in table.settings().items() if name != "targets"}
    earlier = tmp_path / "adaptive_n200.json"
    write_result(earlier, "adaptive", CONFIG, settings, {"noise": {}})
    assert table.write({"noise": {}}) == earlier
    assert table_of(tmp_path, num_images=200, check_every=10).path != earlier


def test_a_table_with_other_settings_is_refused_unless_overwritten(tmp_path: pathlib.Path) -> None:
    given = {"num_images": 200}
    earlier = table_of(tmp_path, **given)
    settings = earlier.settings() | {"check_every": 20}
    write_result(earlier.path, "adaptive", CONFIG, settings, {"noise": {}})
    before = earlier.path.read_bytes()
    for use in (earlier.rows, lambda: earlier.write({})):
        with pytest.raises(InputError, match=r"check_every is 20 there and 1 now; .* --overwrite"):
            use()
    assert earlier.path.read_bytes() == before
    path = table_of(tmp_path, overwrite=True, **given).write({})
    assert path == earlier.path and path.read_bytes() != before
    table_of(tmp_path, **given).write({})  # of the same settings: made again


def test_the_tables_of_the_repository_are_found() -> None:
    folder = ROOT / "reproduce" / "results" / "fusion100" / "cifar10" / "GBZ_mid"
    names = [path.stem for path in adaptive_files(folder)]
    assert names == ["adaptive_K1_mixture_n200", "adaptive_n200"]


def test_the_published_settings() -> None:
    rows = published_rows(200, 1)
    full, head = rows["full logits"], rows["head logit"]
    assert round(full.attack.eps_iter, 6) == 0.001255  # type: ignore[attr-defined]
    assert full.attack.nb_iter == 100 and full.eps == 8 / 255  # type: ignore[attr-defined]
    assert head.eps == 4 / 255 and (head.success, head.rejected) == (0.978, 0.118)
    for name in ("head logit", "head logit matching", "feature matching"):
        attack = rows[name].attack
        step = attack.step_factor * rows[name].eps / attack.nb_iter  # type: ignore[attr-defined]
        assert round(step, 6) == (0.000314 if name == "head logit" else 0.000627)
