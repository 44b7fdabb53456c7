"""What commands read from their command line: paths, names, sizes, and values that are empty."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from tests.cli.conftest import APPS, ATTACKED, DATA, FEW, RUN, fresh
from tests.conftest import ROOT, app_environment
from tests.forked_app import flag_types, run_app
from tf_deepbayes.cli import app

ATTACK, DETECT, EVALUATE = "attack/attack.py", "detect/detect.py", "attack/evaluate.py"


def refused(script: str, flags: list[str], folder: pathlib.Path) -> str:
    """The one line of an app that refuses what it is given."""
    done = run_app(script, [*APPS[script], *flags], folder)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith("error: "), done.stderr
    return line


def files(folder: pathlib.Path) -> set[pathlib.Path]:
    """All that is in a folder and beside it."""
    return set(folder.parent.rglob("*"))


@pytest.mark.parametrize("script", APPS)
def test_an_empty_value_is_refused(script: str, sound: pathlib.Path, folder: pathlib.Path) -> None:
    """What `--flag "$VARIABLE"` gives when the variable is not set."""
    before = files(fresh(sound, folder))
    for name, kind in flag_types(script).items():
        if "string" in kind:
            assert f"--{name}" in refused(script, [f"--{name}="], folder)
    assert "is empty" in refused(script, [""], folder)
    assert files(folder) == before


@pytest.mark.parametrize("flag", ["--indices=a,", "--indices=,", "--eps=0.1,", "--eps= "])
def test_a_list_has_no_empty_parts(flag: str, sound: pathlib.Path, folder: pathlib.Path) -> None:
    assert flag.split("=")[0] in refused(ATTACK, [flag], fresh(sound, folder))


def test_the_flags_for_paths_know_the_home(sound: pathlib.Path, folder: pathlib.Path) -> None:
    home = {"HOME": str(fresh(sound, folder))}
    done = run_app("train/vae.py", [*APPS["train/vae.py"], "--out=~/own"], folder, home)
    assert done.returncode == 0, done.stderr
    assert (folder / "own" / "checkpoint.npz").is_file() and not (folder / "~").exists()
    flags = ["--victim=~/own", "--substitute=~/own", "--runs=~/runs", "--data_dir=~", *FEW, *DATA]
    done = run_app(ATTACK, flags, folder, home)
    assert done.returncode == 0 and (folder / "own" / "attacks").is_dir(), done.stderr
    done = run_app("train/export_checkpoint.py", ["~/own", "--out=~/it.pkl"], folder, home)
    assert done.returncode == 0 and (folder / "it.pkl").is_file(), done.stderr


def test_a_home_that_nobody_knows_is_refused(sound: pathlib.Path, folder: pathlib.Path) -> None:
    line = refused("train/vae.py", ["--out=~nobody.at.all/x"], fresh(sound, folder))
    assert "no home folder is known for ~nobody.at.all/x; give the whole path" in line


def test_every_flag_for_a_path_says_so() -> None:
    """A new flag for a file or folder is defined with `define_path`."""
    for path in [*(ROOT / "tf_deepbayes/cli").rglob("*.py"), *(ROOT / "reproduce").glob("*.py")]:
        others = re.findall(r"DEFINE_(?:string|list)\([^)]*", path.read_text())
        assert not [text for text in others if re.search("file|folder|path", text)], path


@pytest.mark.parametrize(
    ("path", "expanded"),
    [
        ("a/b", "a/b"),
        ("./mnist", "./mnist"),
        ("", ""),
        (".", str(pathlib.Path.cwd())),
        ("..", str(pathlib.Path.cwd().parent)),
        ("~", str(pathlib.Path.home())),
        ("~/x", str(pathlib.Path.home() / "x")),
        ("/", "/"),
    ],
)
def test_expanded_paths(path: str, expanded: str) -> None:
    assert app.expand(path) == expanded


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", ".", "a/b"])
@pytest.mark.parametrize(
    ("script", "flag"), [(ATTACK, "name"), (EVALUATE, "name"), (DETECT, "attack")]
)
def test_names_of_results_stay_in_the_run(
    script: str, flag: str, name: str, sound: pathlib.Path, folder: pathlib.Path
) -> None:
    before = files(fresh(sound, folder))
    assert "expected a name without folders" in refused(script, [f"--{flag}={name}"], folder)
    assert files(folder) == before


@pytest.mark.parametrize(
    ("text", "size"), [("0.1", 0.1), ("8/255", 8 / 255), ("1e-2", 0.01), (" 2 / 4", 0.5), (3, 3.0)]
)
def test_sizes(text: str, size: float) -> None:
    assert app.SizeParser().parse(text) == size


@pytest.mark.parametrize("text", ["", "/", "8/", "/255", "1/0", "1/2/3", "eight"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number, or a fraction such as 8/255, got "):
        app.SizeParser().parse(text)


def test_fractions_and_large_sizes(sound: pathlib.Path, folder: pathlib.Path) -> None:
    attacks = fresh(sound, folder) / RUN / "attacks"
    shutil.rmtree(attacks)
    done = run_app(ATTACK, [*APPS[ATTACK], "--eps", "8/255"], folder)
    assert done.returncode == 0 and done.stderr == ""
    (path,) = attacks.glob("*.json")
    assert json.loads(path.read_text())["settings"]["eps"] == 8 / 255
    large = "is more than the whole range of pixels, [0, 1]; did you mean 8/255?"
    done = run_app(ATTACK, [*APPS[ATTACK], "--eps", "8"], folder)
    assert done.returncode == 0 and done.stderr == f"warning: --eps 8 {large}\n"
    assert "up to 1, got 8.0" in refused(EVALUATE, ["--eps", "8"], folder)
    assert "eps" in refused(EVALUATE, ["--eps", "8/0"], folder)
    for flags in (["--norm", "2"], ["--attack", "cw", "--nb_iter", "1"]):
        done = run_app(ATTACK, [*APPS[ATTACK], "--eps", "8", "--overwrite", *flags], folder)
        assert done.returncode == 0 and done.stderr == ""


def test_the_current_folder_is_a_run_with_a_name(sound: pathlib.Path, folder: pathlib.Path) -> None:
    run = fresh(sound, folder) / RUN
    data = ["--data", str(folder / "digits.npz")]
    done = run_app(
        ATTACK, ["--victim", ".", "--substitute", ".", *FEW, *data, "--name", "own"], run
    )
    assert done.returncode == 0, done.stderr
    (path,) = (run / "attacks").glob("own*.json")
    assert json.loads(path.read_text())["settings"]["substitute"] not in (".", "")
    flags = ["--victim", ".", "--guard", ".", *data, "--num_train", "30", "--num_clean", "2"]
    done = run_app(DETECT, [*flags, "--attack", ATTACKED], run)
    assert done.returncode == 0, done.stderr
    fitted = [json.loads(p.read_text()) for p in (run / "detection").glob("thresholds_*.json")]
    assert {found["settings"]["run"] for found in fitted} == {"DBX"}
    assert not list((run / "detection").glob("*_guard_.json"))


def test_apps_do_not_ask_for_the_backend_of_a_notebook(
    sound: pathlib.Path, folder: pathlib.Path
) -> None:
    environment = app_environment(str(folder)) | {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline"
    }
    command = [sys.executable, str(ROOT / DETECT), *APPS[DETECT], "--plot"]
    place = fresh(sound, folder)
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert list((place / RUN / "detection").glob("*.png"))
