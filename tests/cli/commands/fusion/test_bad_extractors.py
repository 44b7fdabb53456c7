"""A network, cached features or a run that cannot be used: one line, status 2, nothing written."""

import json
import pathlib
import re
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from tests.cli.commands.fusion.bad_networks import BAD
from tests.cli.commands.fusion.small_runs import FAST, SmallRuns
from tests.models.fusion.networks import save, small_network

TRAIN = ["train/vae.py", "GBZ", "--data", "cifar10", *FAST, "--out", "new"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SmallRuns:
    return SmallRuns(tmp_path_factory.mktemp("fusion"))


def files(folder: pathlib.Path) -> dict[pathlib.Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize(("name", "make", "layer", "wanted"), BAD)
def test_a_network_that_cannot_be_used(
    runs: SmallRuns, name: str, make: Callable[[pathlib.Path], object], layer: str, wanted: str
) -> None:
    path = runs.folder / name
    make(path)
    before = files(runs.folder)
    line = runs.refused(*TRAIN, "--features", name, "--layer", layer)
    assert files(runs.folder) == before
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if wanted:
        assert line == f"error: {wanted}"
    else:
        assert re.fullmatch(rf"error: {name} is damaged \(.+\); fetch it again", line)


@pytest.fixture(scope="module")
def trained(runs: SmallRuns) -> pathlib.Path:
    return runs.train()


@pytest.mark.parametrize("kind", ["other", "short", "nan"])
def test_cached_features_that_cannot_be_used(
    runs: SmallRuns, trained: pathlib.Path, tmp_path: pathlib.Path, kind: str
) -> None:
    (own,) = (runs.runs / "cifar10" / "features").iterdir()
    folder = tmp_path / own.name
    shutil.copytree(own, folder)
    network = "net.keras"
    if kind == "other":
        info = json.loads((folder / "features.json").read_text())
        (folder / "features.json").write_text(json.dumps({**info, "digest": "1a2b" * 16}))
        wanted = (
            f"features in {folder} are of another extractor (digest 1a2b…, this one "
            f"{info['digest'][:4]}…); remove the folder or give the extractor that made them"
        )
    elif kind == "short":
        (folder / "train.npy").write_bytes((folder / "train.npy").read_bytes()[:-4])
        wanted = f"features in {folder} are damaged: expected 300×24 float32; remove the folder"
    else:
        made, network = small_network(), str(tmp_path / "nan.keras")
        kernel, bias = made.get_layer("features").get_weights()
        bias[5] = np.nan
        made.get_layer("features").set_weights([kernel, bias])
        save(made, pathlib.Path(network))
        wanted = "layer features gives NaN for 300 images; choose another layer, or other --pixels"
    given = ["--features", network, "--layer", "features", "--pixels", "unit", "--cache", tmp_path]
    assert runs.refused(*TRAIN, *given) == f"error: {wanted}"
    assert not (runs.folder / "new").exists() and not list(tmp_path.rglob("train.npy.done"))


@pytest.mark.parametrize(
    "command",
    [
        ["attack/attack.py", "--data", "cifar10", "--victim"],
        ["detect/detect.py", "--data", "cifar10", "--fit_only", "--victim"],
        ["attack/adaptive.py", "--data", "cifar10", "--victim"],
        ["train/export.py", "--out", "exported"],
    ],
    ids=lambda command: command[0],
)
def test_a_run_without_its_extractor(
    runs: SmallRuns, trained: pathlib.Path, tmp_path: pathlib.Path, command: list[str]
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "extractor.keras").unlink()
    before = files(tmp_path)
    line = runs.refused(*command, tmp_path / "run")
    start = f"error: run {tmp_path / 'run'} lacks extractor.keras, or it is not the one that it was"
    assert line.startswith(f"{start} trained on (sha256 ")
    assert files(tmp_path) == before and not (runs.folder / "exported").exists()
