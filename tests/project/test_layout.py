"""Folders are small, files are short, and the tests mirror the packages."""

import pathlib

from tests.conftest import ROOT

MOST_MODULES, MOST_LINES = 9, 250
CODE = ("tf_deepbayes", "train", "attack", "detect", "reproduce", "benchmark", "tests")
NOT_MIRRORED = {"project"}  # tests of the project as a whole


def python_files(root: str) -> list[pathlib.Path]:
    """The Python files of a folder at any depth, relative to it; at least one."""
    found = [path.relative_to(ROOT / root) for path in sorted((ROOT / root).rglob("*.py"))]
    assert found
    return found


def modules(root: str) -> dict[pathlib.Path, list[str]]:
    """{folder: its modules}, without `__init__.py`."""
    found: dict[pathlib.Path, list[str]] = {}
    for path in python_files(root):
        if path.name != "__init__.py":
            found.setdefault(path.parent, []).append(path.stem)
    return found


def packages(root: str) -> set[str]:
    """The packages below a folder that hold modules, such as `attacks/white_box`."""
    return {str(folder) for folder in modules(root)} - {"."}


def test_a_folder_holds_few_modules() -> None:
    too_many = {
        f"{root}/{folder}": names
        for root in CODE
        for folder, names in modules(root).items()
        if len(names) > MOST_MODULES
    }
    assert not too_many, f"more than {MOST_MODULES} modules: make a package of some"


def test_a_file_is_short() -> None:
    lines = {
        f"{root}/{path}": len((ROOT / root / path).read_text().splitlines())
        for root in CODE
        for path in python_files(root)
    }
    too_long = {path: count for path, count in lines.items() if count > MOST_LINES}
    assert not too_long, f"more than {MOST_LINES} lines: split the file"


def test_every_package_has_tests_of_its_name_and_they_have_no_other() -> None:
    assert packages("tests") - NOT_MIRRORED == packages("tf_deepbayes")


def test_every_folder_of_the_library_and_of_its_tests_is_a_package() -> None:
    """Otherwise it is not in the wheel, and two test files cannot have one name."""
    missing = [
        f"{root}/{folder}"
        for root in ("tf_deepbayes", "tests")
        for folder in modules(root)
        if not (ROOT / root / folder / "__init__.py").is_file()
    ]
    assert not missing
