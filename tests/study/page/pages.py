"""A report of synthetic results, written once for the tests of the page."""

import functools
import html.parser
import pathlib
import tempfile

from tests.study.synthetic import AS_CLAIMED, MODELS, Runs
from tf_deepbayes.study.published import FOLDER
from tf_deepbayes.study.report import Report
from tf_deepbayes.study.results import Study

PARTS = {"clean error": 0.1, "noise alone": 0.05, "broken": 0.5, "known noise": 0.05, "margin": 0.3}


@functools.cache
def written() -> tuple[Report, pathlib.Path]:
    """(the report, the folder it was written to): all sections have something in them."""
    folder = pathlib.Path(tempfile.mkdtemp())
    runs = Runs(folder / "runs")
    runs.complete(AS_CLAIMED)
    for model in MODELS:
        for eps in (0.1, 0.3):
            name = runs.attack(model, eps, 0.5, "pgd", pixels=model == "GFY")
            runs.detect(model, name, {"marginal": 0.7, "kl": 0.8, "logit": 0.9})
            guarded = {"successful_attacks": 40}
            runs.detect(model, name, {"kl": 0.8}, "BNN", transferred=guarded)
        runs.evaluate(model, 0.1, PARTS)
    runs.run("BNN", epochs=10)
    runs.attack("BNN", 0.1, 0.8)
    for model, samples in (("GFZ", 10), ("DFX", 20)):
        runs.attack(model, 0.1, 0.5, "mim", num_samples=samples)
    report = Report(Study.read(runs.root), FOLDER, profile="night: <epochs> 20")
    report.write(folder / "report")
    return report, folder / "report"


class Page(html.parser.HTMLParser):
    """The elements of a page: (tag, attributes), and the texts of the tables by their heading."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.heading, self.inside = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag == "h3":
            self.heading = attributes.get("id", "")
        elif tag == "table":
            self.tables[self.heading] = []
        elif tag == "tr":
            self.tables[self.heading].append([])
        elif tag in ("td", "th"):
            self.tables[self.heading][-1].append("")
        self.inside = tag in ("td", "th") or (self.inside and tag != "sup")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.tables[self.heading][-1][-1] += data

    def all(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]
