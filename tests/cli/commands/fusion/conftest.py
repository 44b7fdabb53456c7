"""One trained run for the tests of the commands; every file changes a copy of its own."""

import pathlib

import pytest

from tests.cli.commands.fusion.small_runs import SmallRuns


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> SmallRuns:
    """A GBZ on `features` of `net.keras`."""
    made = SmallRuns(tmp_path_factory.mktemp("fusion"))
    made.train()
    return made


@pytest.fixture(scope="module")
def runs(original: SmallRuns, tmp_path_factory: pytest.TempPathFactory) -> SmallRuns:
    """The trained run, its data and its network in a folder for the tests of a file."""
    return original.copy(tmp_path_factory.mktemp("fusion") / "copy")


@pytest.fixture(scope="module")
def trained(runs: SmallRuns) -> pathlib.Path:
    """The folder of the run."""
    return runs.runs / "cifar10" / "GBZ_Z4_net_features"
