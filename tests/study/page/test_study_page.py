"""The page: its tables in three forms, its links, and that it asks no network for anything."""

import csv
import pathlib
import re
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from tests.study.page.pages import Page, written
from tf_deepbayes.study.bootstrap import Estimate
from tf_deepbayes.study.claims.verdicts import Cell, Untested, Verdict
from tf_deepbayes.study.page.figures import STYLES
from tf_deepbayes.study.page.tables import from_to, plus_minus, points, share
from tf_deepbayes.study.page.text import verdicts_page

REPORT, OUT = written()
TEXT = (OUT / "index.html").read_text()
PAGE = Page(TEXT)
VIEWS = {view.id: view for section in REPORT.sections for view in section.views}
DRAWN = [name for name, view in VIEWS.items() if not view.refused]
SIGNS = {
    **{r"$\pm$": "±", "$-$": "−", "--": "–", r"$\bullet$": "●", r"$\blacktriangle$": "▲"},
    **{r"$\blacktriangledown$": "▼", r"$\varepsilon$": "ε", r"$\ell$": "ℓ", r"\_": "_", r"\%": "%"},
}


def test_the_sections_have_tables() -> None:
    assert {"mnist_clean", "mnist_fgsm", "mnist_pgd", "mnist_pgd_detection"} <= set(DRAWN)
    assert {"mnist_smallest", "transfer", "attacks", "training", "cost", "provenance"} <= set(DRAWN)
    assert set(PAGE.tables) == set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_a_table_is_the_same_in_three_forms(name: str) -> None:
    head, *rows = ([cell.strip() for cell in row] for row in PAGE.tables[name])
    latex = (OUT / "tables" / f"{name}.tex").read_text()
    body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0]
    found = [line.rstrip("\\ ").split(" & ") for line in body.strip().splitlines()]
    for sign, text in SIGNS.items():
        found = [[cell.replace(sign, text).strip() for cell in row] for row in found]
    assert r"\toprule" in latex and len(found) == len(rows) > 0
    assert found == rows
    with (OUT / "tables" / f"{name}.csv").open(newline="") as file:
        full = list(csv.DictReader(file))
    assert len(full) == len(rows) and len(head) == len(rows[0])
    for row, exact in zip(rows, full, strict=True):
        of_head = dict(zip(head, row, strict=True))
        for shown, columns in EXACT.items():
            if shown in of_head and columns[0] in exact:
                assert of_head[shown] == text_of(shown, [exact[c] for c in columns])


EXACT = {
    "published": ["published"],
    "reproduced": ["reproduced", "reproduced_high"],
    "ours ± 95%": ["ours", "low", "high"],
    "difference": ["difference", "mark"],
    "detected ± 95%": ["rate", "low", "high"],
}


def text_of(shown: str, texts: list[str]) -> str:
    """What the page should show of a CSV's cells."""
    if shown == "difference":
        return points(float(texts[0]) if texts[0] else None, texts[1])
    values = [float(text) if text else np.nan for text in texts]
    if shown == "published":
        return share(values[0])
    return (from_to if shown == "reproduced" else plus_minus)(*values)


def test_plus_minus_is_the_wider_side() -> None:
    assert plus_minus(0.0, 0.0, 0.037) == "0.000 ± 0.037"
    assert plus_minus(0.98, 0.95, 0.99) == "0.980 ± 0.030"
    assert points(1.0, None) == points(1.0, "") == "+1.0"


def test_nothing_is_asked_of_a_network() -> None:
    for tag, attributes in PAGE.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base")
        for name in ("src", "srcset", "href", "xlink:href", "action", "poster", "data"):
            address = attributes.get(name, "")
            assert not re.match(r"(?i)\s*(https?:|ftp:|//)", address), (tag, address)
    links = [attributes for tag, attributes in PAGE.elements if tag == "link"]
    assert [link["href"] for link in links] == ["data:,"]
    assert "@import" not in TEXT
    assert set(re.findall(r"url\((.)", TEXT)) <= {"#"}


def test_the_page_is_small() -> None:
    assert 50_000 < len(TEXT.encode()) < 3_000_000


def test_numbers_link_to_the_results_they_are_from() -> None:
    results = [a for a in PAGE.all("href") if a.endswith(".json")]
    assert len(results) > 50
    for address in results:
        assert (OUT / unquote(address)).is_file(), address
    cells = {a for a in PAGE.all("href") if a.startswith("#")}
    assert cells and {cell[1:] for cell in cells} <= set(PAGE.all("id"))
    files = {a for a in PAGE.all("href") if a.startswith("tables/")}
    assert {OUT / file for file in files} == set((OUT / "tables").iterdir())


def test_published_numbers_name_table_and_page() -> None:
    titles = [t for t in PAGE.all("title") if "Table F.1 (p. 23)" in t]
    assert len(titles) >= 24


def test_published_detection_is_a_mean_over_classes_but_of_marginal() -> None:
    """`TP_logpx` is a share of all successful attacks, `TP_logpxy` a mean, and so is `TP_kl`."""
    found = [view.frame for name, view in VIEWS.items() if name.endswith("_detection")]
    frame = pd.concat(found).set_index("detector")
    expected = {"marginal": 1.0, "logit": 0.9}
    for detector, factor in expected.items():
        rows = frame.loc[[detector]]
        np.testing.assert_allclose(rows.as_published, factor * rows.rate)
    assert set(frame.loc[["kl"]].as_published) == {0.9}


def test_a_mixed_table_is_not_drawn_and_says_what_differs() -> None:
    assert VIEWS["mnist_mim"].refused == ("K at 0.1: 10 (GFZ); 20 (DFX)",)
    assert "K at 0.1: 10 (GFZ); 20 (DFX)" in TEXT
    assert not (OUT / "tables" / "mnist_mim.csv").exists()


def test_a_model_behind_stands_apart_with_its_epochs() -> None:
    rows = [row for row in PAGE.tables["mnist_fgsm"] if row[0].startswith("BNN")]
    assert {row[0] for row in rows} == {"BNN (10 epochs)"}
    assert 'class="apart' in TEXT


def test_pictures_and_curves_are_told_with_numbers() -> None:
    pictures = [attributes for tag, attributes in PAGE.elements if tag == "img"]
    assert pictures and all(re.search(r"\d+ of 10 right", a["alt"]) for a in pictures)
    labels = [attributes["aria-label"] for tag, attributes in PAGE.elements if tag == "svg"]
    assert len(labels) >= 6 and all(re.search(r"0\.\d{3}|-\d+\.\d{3}", label) for label in labels)


def test_verdicts_are_words_and_signs() -> None:
    for verdict in REPORT.verdicts:
        assert f'<li id="{verdict.claim.key}">' in TEXT
        assert f"{verdict.sign} {verdict.word}" in TEXT


def test_the_profile_is_quoted_as_text() -> None:
    assert "night: &lt;epochs&gt; 20" in TEXT


def luminance(colour: str) -> float:
    """Of sRGB, WCAG 2."""
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrasts_suffice_in_light_and_dark(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", TEXT, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w{6});", blocks[scheme]))
    for text in ("text", "soft", "link"):
        for ground in ("page", "box"):
            assert contrast(colours[text], colours[ground]) >= 4.5
    for model in STYLES:
        assert contrast(colours[model], colours["page"]) >= 3.0, model


def test_the_same_results_give_the_same_page(tmp_path: pathlib.Path) -> None:
    out = OUT.parent / "again"
    REPORT.write(out)
    assert (out / "index.html").read_text() == TEXT


def test_claims_and_tables_are_in_the_markdown_too() -> None:
    text = (OUT / "report.md").read_text()
    for verdict in REPORT.verdicts:
        assert f"| {verdict.claim.key} | {verdict.claim.text} | {verdict.sign} " in text
    view = VIEWS["mnist_pgd"]
    for _, cells in view.rows():
        assert "| " + " | ".join(cell.text for cell in cells) + " |" in text
    assert view.note in text


def test_every_claim_has_its_verdict_evidence_and_what_would_change_it() -> None:
    text = (OUT / "verdicts.md").read_text()
    heads = re.findall(r"^## (\w+): (.*)$", text, re.M)
    assert heads == [(v.claim.key, v.word) for v in REPORT.verdicts]
    assert text.count("*What would change it*: ") == len(heads)
    first = text.split("## P1")[1].split("## P2")[0]
    assert "cells are on the claimed side" in first and "accuracies under these attacks, " in first
    assert "published accuracies" not in text.split("## P8")[1].split("## P9")[0]
    assert "Of the published clean accuracies, " in text.split("## P17")[1].split("## L1")[0]
    assert "Nothing here tests it" in text.split("## P16")[1]


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ((1,), "1 of 1 cell is on the claimed side, 0 on the other"),
        ((1, -1), "1 of 2 cells is on the claimed side, 1 on the other"),
        ((1, 1, -1), "2 of 3 cells are on the claimed side, 1 on the other"),
    ],
)
def test_one_and_many_cells(sides: tuple[int, ...], said: str) -> None:
    cells = tuple(
        Cell("PGD", Estimate(side, side - 0.1, side + 0.1), "t", 20.0, None, 1, 200)
        for side in sides
    )
    untested = (Untested("MIM", "no run"),)
    verdict = Verdict(REPORT.verdicts[0].claim, cells, untested, (1, 22))
    text = verdicts_page(REPORT.study, [verdict])
    assert f"\n\n{said}; " in text and "accuracies under these attacks, 1 of 22 are met" in text
    assert "(1 further cell not tested)" in text
