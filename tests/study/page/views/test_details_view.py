"""The worst case of each image over many attacks."""

import json
import pathlib

from tests.study.page.pages import PARTS
from tests.study.synthetic import Runs
from tf_deepbayes.study.page.views.details import evaluations_view
from tf_deepbayes.study.results import Study


def test_an_interval_may_end_a_rounding_above_1(tmp_path: pathlib.Path) -> None:
    runs = Runs(tmp_path)
    runs.run("GFZ")
    name = runs.evaluate("GFZ", 0.1, PARTS)
    path = runs.folder("GFZ") / "evaluation" / f"{name}.json"
    content = json.loads(path.read_text())
    worst = content["figures"]["worst_case"]
    worst |= {"robust_accuracy": 1.0, "robust_accuracy_interval": [0.95, 1.0000000000000002]}
    path.write_text(json.dumps(content))
    view = evaluations_view(Study.read(runs.root))
    assert view is not None
    assert view.frame.high[0] == 1.0 and view.shown["worst case ± 95%"][0] == "1.000 ± 0.050"
