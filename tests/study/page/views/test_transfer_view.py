"""Attacks on one model, classified by another."""

import pathlib
from typing import Any

import numpy as np
import pytest

from tests.study.synthetic import Runs
from tf_deepbayes.study.page.pictures import heat_maps
from tf_deepbayes.study.page.views.transfer import transfer_view
from tf_deepbayes.study.published import frame
from tf_deepbayes.study.results import Study


@pytest.mark.parametrize("kept", [True, False])
def test_chosen_images_are_the_whole(kept: bool, tmp_path: pathlib.Path) -> None:
    """Of 100 of the 200 images the guard errs on 40; without the outcomes nobody knows of 100."""
    runs = Runs(tmp_path)
    for model in ("GFZ", "GBZ"):
        runs.run(model)
    name, labels = runs.attack("GFZ", 0.3, 0.5, "pgd"), runs.labels[:100]
    wrong = np.where(np.arange(100) < 40, labels + 1, labels)
    arrays = {"labels": labels, "predicted": labels + 1, "guard_predicted": wrong}
    moved: dict[str, Any] = {"transferred": {"successful_attacks": 40}}
    chosen = {"indices": ["indices.json"]}
    runs.detect("GFZ", name, {"kl": 0.5}, "GBZ", arrays if kept else None, chosen, **moved)
    view = transfer_view(Study.read(runs.root), frame([]))
    assert view is not None
    assert view.shown["of all images ± 95%"][0] == ("0.600 ± 0.098" if kept else "–")
    assert len(list(heat_maps(view))) == kept
    assert view.frame.accuracy[0] == pytest.approx(0.6 if kept else np.nan, nan_ok=True)
