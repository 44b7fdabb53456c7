"""The pages of docs/: their code runs, and what they name exists."""

import pathlib
import pkgutil
import re
from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest

from tests.conftest import ROOT
from tf_deepbayes import attacks
from tf_deepbayes.attacks import losses
from tf_deepbayes.data import datasets
from tf_deepbayes.detection import graph_scores, selection
from tf_deepbayes.legacy import published_names
from tf_deepbayes.models.factorisations import FACTORISATIONS
from tf_deepbayes.models.layers import likelihoods

DOCS = ROOT / "docs"
PAGES = {page.stem: page.read_text() for page in sorted(DOCS.glob("*.md"))}
PAGES.pop("serving")  # of another package, with flags of its own: see test_serving_rest.py
WITH_CODE = [name for name, text in PAGES.items() if "```python" in text]
WORKED = {"add_factorisation", "add_attack", "add_detector", "add_data_set"}


@pytest.fixture(autouse=True)
def untouched_registries() -> Iterator[None]:
    """What an example adds to a table is taken out again."""
    with (
        mock.patch.dict(attacks.ATTACKS),
        mock.patch.dict(selection.DETECTORS),
        mock.patch.dict(datasets.TASKS),
        mock.patch.dict(graph_scores.CLASS_SCORES),
    ):
        yield


@pytest.mark.parametrize("name", WITH_CODE)
def test_the_code_of_a_page_runs(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a page are one program, run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    exec(compile(program(PAGES[name]), DOCS / f"{name}.md", "exec"), {"__name__": name})


def program(page: str) -> str:
    """The page with all but its code blanked: line numbers of an error are those of the page."""
    lines, inside = [], False
    for line in page.splitlines():
        if line.startswith("```"):
            inside = line == "```python"
        lines.append(line if inside and line != "```python" else "")
    return "\n".join(lines)


def test_every_kind_of_extension_has_a_worked_example() -> None:
    assert set(WITH_CODE) >= WORKED


def rows(page: str, columns: int) -> list[list[str]]:
    """The rows of all tables of so many columns, their heads included."""
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in PAGES[page].splitlines()]
    cells = [[cell.strip().replace("\\|", "|") for cell in line] for line in lines]
    return [row for row in cells if len(row) == columns and set(row) != {"---"}]


def test_the_formulas_and_letters_are_those_of_the_models() -> None:
    formulas = {
        name: (cls.__doc__ or "").split("=")[1].strip(" .\n")
        for name, cls in FACTORISATIONS.items()
    }
    found = {row[0]: row[1:3] for row in rows("models", 4) if row[0] in formulas}
    letters = {name: letter for letter, name in published_names.LETTERS.items()}
    assert found == {name: [letters.get(name, "–"), formulas[name]] for name in formulas}
    names = {row[1]: [row[0], row[2]] for row in rows("names", 3) if row[1] in formulas}
    assert names == {name: found[name] for name in letters}


def test_the_terms_that_beta_multiplies_are_those_of_the_models() -> None:
    found = {
        name: set(re.findall(r"[pq]\([^)]*\)", terms))
        for names, terms in rows("models", 2)
        for name in names.split(", ")
        if name in FACTORISATIONS
    }
    assert found == {name: set(cls.beta_factors) for name, cls in FACTORISATIONS.items()}


def test_every_likelihood_is_there_with_its_offset() -> None:
    offsets = {"−½ log π": -0.5 * np.log(np.pi), "−log 2": -np.log(2.0)}
    named = [(re.findall(r"`(\w+)`", row[0]), row[2]) for row in rows("models", 3)]
    found = {name: text for names, text in named for name in names}
    assert set(likelihoods.LIKELIHOODS) <= set(found)
    for name, likelihood in likelihoods.LIKELIHOODS.items():
        text = found[name]
        if text == "as without":
            text = found[name.removesuffix("_logistic")]
        assert likelihood.offset == pytest.approx(offsets.get(text, 0.0))


def test_every_attack_loss_and_detector_is_there() -> None:
    def first_columns(page: str) -> set[str]:
        return {
            name for row in PAGES[page].splitlines() for name in re.findall(r"^\| `(\w+)`", row)
        }

    assert first_columns("attacks") >= {*attacks.ATTACKS, *losses.LOSSES}
    assert first_columns("detection") >= {*selection.DETECTORS}
    for cls in attacks.ATTACKS.values():
        assert f"`{cls.__name__}`" in PAGES["attacks"]


def test_quoted_tolerances_stand_in_the_tests() -> None:
    quoted = [row for row in rows("numerics", 3) if row[2].startswith("`test_")]
    assert len(quoted) > 10
    for what, tolerance, test in quoted:
        (path,) = (ROOT / "tests").rglob(f"{test.strip('`')}.py")
        source = path.read_text()
        for code in re.findall(r"`([^`]*)`", tolerance):
            assert code in source, f"{what}: {code} is not in {test}"


def test_the_flags_named_are_flags_of_the_apps() -> None:
    apps = [*ROOT.glob("train/*.py"), *ROOT.glob("attack/*.py"), *ROOT.glob("detect/*.py")]
    apps += [*ROOT.glob("reproduce/*.py"), *ROOT.glob("benchmark/*.py")]
    apps += [*ROOT.glob("tf_deepbayes/cli/**/*.py")]
    define = r'(?:DEFINE_\w+\(|define_path\(|DEFINE\(\s*[\w.]+\(\),)\s*"(\w+)"'
    defined = re.findall(define, "".join(app.read_text() for app in apps))
    settings = re.findall(
        r'^    "(\w+)": ', (ROOT / "tf_deepbayes/cli/training_flags.py").read_text(), re.MULTILINE
    )
    pages = [page for name, page in PAGES.items() if name != "docker"]  # has those of Docker
    own = [re.sub("`pip install [^`]*`", "", page) for page in pages]
    named = {flag for page in own for flag in re.findall(r"--([a-z]\w*)", page)}
    assert named <= {*defined, *settings, "nosave", "help"}


def test_moved_modules_are_where_the_names_say() -> None:
    section = PAGES["names"].split("\n## Moved modules\n")[1].split("\n## ")[0]
    moved = re.findall(r"^\| `[\w.]+` \| `([\w.]+)` \|$", section, re.MULTILINE)
    assert len(moved) > 80
    for name in moved:
        pkgutil.resolve_name(f"tf_deepbayes.{name}")


def test_every_module_is_in_the_reference() -> None:
    pages = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    found = set(re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE))
    files = [path.relative_to(ROOT) for path in (ROOT / "tf_deepbayes").rglob("*.py")]
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files}
    packages = {".".join(path.parent.parts) for path in files if path.name == "__init__.py"}
    modules = {name for name in modules if not name.endswith("__main__")}
    assert modules - found <= packages, "add a line ::: module to a page of docs/reference"
    assert found <= modules
