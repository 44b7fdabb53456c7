"""`import tf_deepbayes as db`: what it offers, and that it costs nothing."""

import ast
import os
import subprocess
import sys

import pytest

import tf_deepbayes as db
from tests.conftest import ROOT
from tf_deepbayes.core.keras_config import ONEDNN

PACKAGE = ROOT / "tf_deepbayes"
NO_SIDE_EFFECTS = """
import os, sys
before = dict(os.environ)
import tf_deepbayes
assert dict(os.environ) == before
print(*{"numpy", "tensorflow", "keras", "absl"} & set(sys.modules))
"""


def python(program: str, **environment: str) -> str:
    """What a fresh Python prints."""
    command, variables = [sys.executable, "-c", program], {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names_for_type_checkers() -> dict[str, str]:
    """Name → module, of the imports under TYPE_CHECKING."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and "TYPE" in ast.dump(node))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {
        str(a.asname): f"{node.module}:{a.name}".removeprefix("tf_deepbayes").lstrip(".:")
        for node in imports
        for a in node.names
    }


def test_type_checkers_see_the_same_names() -> None:
    assert names_for_type_checkers() == db.NAMES


def test_importing_it_imports_nothing_else() -> None:
    assert python(NO_SIDE_EFFECTS) == ""


@pytest.mark.parametrize(
    ("given", "first", "kept"), [(None, "", "1"), ("0", "", "0"), (None, "tensorflow", None)]
)
def test_the_first_name_chooses_kernels(given: str | None, first: str, kept: str | None) -> None:
    """Not where the user has chosen, nor where TensorFlow has read the setting already."""
    program = f"""
import os, sys, tf_deepbayes as db
os.environ.pop({ONEDNN!r}, None)
os.environ.update({{ {ONEDNN!r}: {given!r} }} if {given!r} else {{}})
sys.modules.update(dict.fromkeys({first.split()!r}))
db.InputError
print(os.environ.get({ONEDNN!r}))
"""
    assert python(program) == str(kept)


def test_it_has_a_version() -> None:
    assert db.__version__.count(".") == 2


def test_eager_import_finds_every_name() -> None:
    program = "import tf_deepbayes as db; print(*set(db.NAMES) - set(vars(db)))"
    assert python(program, EAGER_IMPORT="1") == ""


@pytest.mark.parametrize("name", db.NAMES)
def test_a_name_is_there_and_listed(name: str) -> None:
    assert getattr(db, name) is getattr(db, name)
    assert name in dir(db) and (name not in vars(db) or vars(db)[name] is getattr(db, name))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'GFX'"):
        db.GFX  # noqa: B018


def test_a_name_of_a_sub_package_is_that_sub_package() -> None:
    """Importing a sub-package sets its name, so nothing else may have it."""
    modules: set[str] = {path.stem for path in PACKAGE.glob("*.py")}
    modules |= {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    for name in modules & set(db.NAMES):
        assert getattr(db, name) is sys.modules[f"tf_deepbayes.{name}"]
