"""deepbayes report: a page by default, tables on the terminal, and small copies of results."""

import pathlib
import sys
from unittest import mock

import pytest

from tests.forked_app import run_app
from tests.study.synthetic import AS_CLAIMED, Runs
from tf_deepbayes.cli.commands import report as command
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.study.claims.register import CLAIMS

SCRIPT = "reproduce/tables.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with runs of MNIST in it."""
    folder = tmp_path_factory.mktemp("study")
    Runs(folder / "runs").complete(AS_CLAIMED)
    return folder


def test_a_page_its_tables_and_a_line_per_claim(place: pathlib.Path) -> None:
    done = run_app(SCRIPT, ["--runs", "runs", "--out", "out", "--keep", "kept"], place)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "21 results kept in kept"
    assert len([line for line in lines if line[0] in "✓◐✗–"]) == len(CLAIMS)
    assert lines[1].startswith("✓ P1  holds: ") and "200 images" in lines[1]
    page = (place / "out" / "index.html").read_text()
    assert "../runs/mnist/GBZ/attacks/fgsm_eps0.20.json" in page and "0.803" in page
    assert (place / "out" / "tables" / "mnist_fgsm.csv").is_file()
    again = run_app(SCRIPT, ["--runs", "kept", "--out", "other"], place)
    assert again.stdout.splitlines()[:-1] == lines[1:-1]
    names = [sorted(p.name for p in (place / o / "tables").iterdir()) for o in ("out", "other")]
    assert names[0] == names[1]
    for name in names[0]:
        texts = [(place / out / "tables" / name).read_text() for out in ("out", "other")]
        assert texts[0] == texts[1], name


def test_without_published_numbers_there_are_no_such_columns(place: pathlib.Path) -> None:
    (place / "empty").mkdir()
    done = run_app(SCRIPT, ["--runs", "runs", "--published", "empty"], place)
    assert done.returncode == 2 and "holds no published numbers" in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--format", "markdown", "--out", "out"], "--out does not apply to --format markdown"),
        (["--models", "GFZ"], "--models does not apply to --format html"),
    ],
)
def test_flags_of_the_other_format_are_refused(
    flags: list[str], said: str, place: pathlib.Path
) -> None:
    done = run_app(SCRIPT, ["--runs", "runs", *flags], place)
    assert done.returncode == 2 and said in done.stderr


def test_tables_on_the_terminal(place: pathlib.Path) -> None:
    runs = Runs(place / "few", "fashion_mnist")
    runs.run("GFZ")
    done = run_app(SCRIPT, ["--format", "markdown", "--runs", "few"], place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2].startswith("| GFZ | 20 | 10 |")


def test_no_runs_are_one_line(tmp_path: pathlib.Path) -> None:
    done = run_app(SCRIPT, ["--runs", "nowhere"], tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("error: no runs in nowhere")


def test_a_missing_pandas_names_the_extra() -> None:
    missing = {name: None for name in sys.modules if name.split(".")[0] == "pandas"}
    ours = [name for name in sys.modules if name.startswith("tf_deepbayes.study")]
    with mock.patch.dict(sys.modules, missing):
        for name in ours:
            del sys.modules[name]
        with pytest.raises(InputError, match=r"tf_deepbayes\[study\]"):
            command.write_html()
