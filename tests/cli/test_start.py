"""How commands begin: their names, their help, and a quiet terminal."""

import importlib
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.conftest import ROOT, app_environment
from tests.forked_app import flag_groups
from tf_deepbayes.cli import start

App = Callable[..., "subprocess.CompletedProcess[str]"]
SCRIPTS = {
    "train": "train/vae.py",
    "train-vgg": "train/vgg.py",
    "adaptive": "attack/adaptive.py",
    "attack": "attack/attack.py",
    "evaluate": "attack/evaluate.py",
    "substitute": "attack/substitute.py",
    "detect": "detect/detect.py",
    "export": "train/export.py",
    "import-checkpoint": "train/import_checkpoint.py",
    "export-checkpoint": "train/export_checkpoint.py",
    "extract-index": "attack/extract_index.py",
    "report": "reproduce/tables.py",
}
OF_ABSL = ("--verbosity", "--flagfile", "--pdb", "--only_check_args", "--undefok", "--logtostderr")


@pytest.fixture
def deepbayes(tmp_path: pathlib.Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """The command deepbayes in an empty folder, in a Python of its own."""
    environment = {**app_environment(str(tmp_path / "keras")), "PYTHONPATH": str(ROOT)}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tf_deepbayes.cli", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600
        )

    return run


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_command_with_a_line(flag: str, deepbayes: App) -> None:
    done = deepbayes(flag)
    assert done.returncode == 0 and not done.stderr
    for name, command in start.COMMANDS.items():
        assert f"  {name:17}  {command.summary}" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"), [([], "expected a command"), (["trian"], "unknown command 'trian'")]
)
def test_no_such_command_is_one_line_and_status_2(
    arguments: list[str], message: str, deepbayes: App
) -> None:
    done = deepbayes(*arguments)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and not done.stdout
    assert line.startswith(f"error: {message}; choose one of train, attack")


def test_every_command_has_a_script() -> None:
    assert SCRIPTS.keys() == start.COMMANDS.keys()
    for name, script in SCRIPTS.items():
        assert f'main("{name}")' in (ROOT / script).read_text()


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_shows_the_flags_of_a_command_in_groups(name: str, flag: str, app: App) -> None:
    done = app(SCRIPTS[name], flag)
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.startswith("usage: python ") and "deepbayes " + name not in done.stdout
    groups = flag_groups(SCRIPTS[name])
    for flag_name, group in groups.items():
        assert f"--{flag_name}:" in done.stdout or f"--[no]{flag_name}:" in done.stdout
        assert f"\n{group}:\n" in done.stdout
    assert "Flags" not in groups.values() and "Flags:" not in done.stdout
    assert not [flag for flag in OF_ABSL if flag in done.stdout]


@pytest.mark.parametrize("name", start.COMMANDS)
def test_a_command_is_short(name: str) -> None:
    module = importlib.import_module(f"tf_deepbayes.cli.commands.{start.COMMANDS[name].module}")
    assert len(pathlib.Path(str(module.__file__)).read_text().splitlines()) <= 80


def test_the_command_trains_into_runs_of_the_current_folder_without_a_word_of_tensorflow(
    deepbayes: App, tmp_path: pathlib.Path
) -> None:
    short = ["--data", "mnist_5k", "--num_train", 100, "--epochs", 2, "--dim_z", 2]
    done = deepbayes("train", "DBX", *short)
    assert done.returncode == 0 and done.stderr == ""
    *epochs, folder = done.stdout.splitlines()
    assert folder == "runs/mnist_5k/DBX_Z2"
    assert [line.split(":")[0] for line in epochs] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert "val_accuracy" in epochs[1] and (tmp_path / folder / "checkpoint.npz").is_file()
    few = ["--data", "mnist_5k", "--num_images", 3, "--eval_draws", 1]
    done = deepbayes("attack", "--victim", folder, *few)
    assert done.returncode == 0 and done.stderr == ""
    assert len(done.stdout.splitlines()) == 2


def test_a_started_app_is_as_quiet(tmp_path: pathlib.Path) -> None:
    """One that another app started, which has set TensorFlow's level in the environment."""
    environment = {**app_environment(str(tmp_path)), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "tf_deepbayes.cli", "detect", "--victim", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
