"""Names of run folders, and the classifiers that they are found by."""

import pathlib

from tf_deepbayes.runs.checkpoints import CONFIG
from tf_deepbayes.runs.naming.folders import find_run, only_data, run_name


def test_a_name_says_what_is_not_as_in_the_released_code() -> None:
    assert run_name("GBZ", None) == "GBZ"
    assert run_name("GBZ", 32, seed=2) == "GBZ_Z32_seed2"
    assert run_name("GBZ", None, networks="text", seed=1) == "GBZ_text_seed1"
    assert run_name("GBZ", None, "mid") == "GBZ_mid"


def test_a_run_is_found_by_the_name_of_its_folder(tmp_path: pathlib.Path) -> None:
    for name in ("GBZ_seed1", "GFZ_text_seed2"):
        folder = tmp_path / "mnist" / name
        folder.mkdir(parents=True)
        (folder / CONFIG).write_text("{}")
        assert find_run(name, "mnist", tmp_path) == (folder, 10)
    assert find_run("GBZ", "mnist", tmp_path) == (tmp_path / "mnist" / "GBZ", 10)
    assert find_run("GBZ_text", "mnist", tmp_path) == (tmp_path / "mnist" / "GBZ_text", 10)


def test_the_data_of_a_published_name_are_those_of_the_only_run(tmp_path: pathlib.Path) -> None:
    """A folder of another data set, where no such run is, does not matter."""
    for folder in (tmp_path / "cifar10" / "GBZ_mid", tmp_path / "mnist" / "GFZ"):
        folder.mkdir(parents=True)
        (folder / CONFIG).write_text("{}")
    assert only_data("fea_K10_F_mid", tmp_path) == "cifar10"
    assert only_data("bayes_K10_A", tmp_path) == "mnist"
