"""The old path of `load_model` works and says where it is now."""

import importlib
import sys

import pytest

from tf_deepbayes.runs.checkpoints import load_model


def test_the_old_path_warns_and_has_the_same_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tf_deepbayes.checkpoints", raising=False)
    with pytest.warns(DeprecationWarning, match=r"from tf_deepbayes\.runs\.checkpoints$") as caught:
        old = importlib.import_module("tf_deepbayes.checkpoints")
    assert old.load_model is load_model
    assert len(caught) == 1
