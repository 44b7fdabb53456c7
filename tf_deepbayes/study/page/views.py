"""Tables of attacks and of detection, beside the published numbers."""

from typing import Any

import numpy as np
import pandas as pd

from tf_deepbayes.reporting.text import count
from tf_deepbayes.study.claims.accuracy import smallest_eps
from tf_deepbayes.study.claims.cells import Results
from tf_deepbayes.study.claims.detection import detected, rate
from tf_deepbayes.study.comparison import clean_rows
from tf_deepbayes.study.page.tables import View, from_to, plus_minus, points, share
from tf_deepbayes.study.provenance import Table, common_epochs
from tf_deepbayes.study.published import PAPER
from tf_deepbayes.study.results import Study, in_order

DETECTORS = ("marginal", "logit", "kl", "tv")
# Figures that the published script prints; of other detectors the mean over classes.
AS_PUBLISHED = {"marginal": "rate", "kl": "wrong_rows"}
SMALLEST = "mean_min_perturbation"


def clean_table(study: Study, data: str) -> Table:
    """The clean accuracy of a data set's models as a table without a size."""
    rows = clean_rows(study, data).assign(size=0.0, steps=None, learning_rate=None)
    return Table(data, "clean", "clean", "", rows)


def model_name(row: Any) -> str:
    """The model, with its own epochs where it stands apart."""
    if not row.behind:
        return str(row.model)
    epochs = "unknown" if pd.isna(row.epochs) else f"{row.epochs:g}"
    return f"{row.model} ({epochs} epochs)"


def head_of(study: Study, table: Table) -> str:
    """What all numbers of a table share: epochs, seeds, images, K, steps, draws."""
    rows, common = table.rows, common_epochs(study, table.data)
    asked = rows.asked.dropna()
    of = f" of {asked.max():g}" if len(asked) else ""
    seeds = rows.seed.nunique()
    parts = [f"{common:g}{of} epochs", count(seeds, "seed")]
    parts.append(f"{_values(rows.n)} images")
    parts += [f"K = {_values(rows.K)}", f"{_values(rows.noise)} noise"]
    if rows.steps.notna().any():
        parts.append(f"{_values(rows.steps.dropna().astype(int))} steps")
    if rows.draws.notna().any():
        parts.append(f"{_values(rows.draws.dropna().astype(int))} draws")
    return "; ".join([", ".join(parts), *_warmed_up(study, table)])


def _warmed_up(study: Study, table: Table) -> list[str]:
    """Which models of a table were trained with a KL warm-up, which the paper does not have."""
    runs = study.runs[(study.runs.data == table.data) & (study.runs.warm_up > 0)]
    runs = runs[runs.model.isin(table.rows.model)].drop_duplicates(["model", "warm_up"])
    return [f"{r.model} trained with a KL warm-up of {r.warm_up} steps" for r in runs.itertuples()]


def _values(column: pd.Series) -> str:
    return ", ".join(f"{value}" for value in sorted(set(column)))


def comparison_view(study: Study, table: Table, frame: pd.DataFrame) -> View:
    """published | reproduced | ours ± 95% | difference."""
    size = "ε" if table.is_linf else "c"
    ours = zip(frame.ours, frame.low, frame.high, strict=True)
    texts = {
        "model": [model_name(row) for row in frame.itertuples()],
        size: frame["size"],
        "published": [_published(row) for row in frame.itertuples()],
        "reproduced": [from_to(r.reproduced, r.reproduced_high) for r in frame.itertuples()],
        "ours ± 95%": [plus_minus(*values) for values in ours],
        "difference": [points(row.difference, row.mark) for row in frame.itertuples()],
    }
    if table.attack == "clean":
        del texts[size]
    note = head_of(study, table)
    if table.left_out:
        note += f". Not in this table, for other settings: {'; '.join(table.left_out)}"
    title = f"Clean accuracy on {table.data}" if table.attack == "clean" else table.title
    frame = frame.assign(title_published=frame.refused.fillna(frame.published_source))
    return View(
        *(table.id, title, frame, pd.DataFrame(texts), note),
        links={"ours ± 95%": "results"},
        titles={"published": "title_published", "reproduced": "reproduced_source"},
        grey="behind",
    )


def _published(row: Any) -> str:
    return "refused" if isinstance(row.refused, str) else share(row.published)


def refused_view(table: Table) -> View:
    """A table that would mix what must not be mixed."""
    empty = pd.DataFrame({"differs": list(table.refused)})
    return View(table.id, table.title, empty, empty, refused=table.refused)


def detection_view(results: Results, table: Table, published: pd.DataFrame) -> View | None:
    """Rates, false positives on test images, misclassified and undetected; None without any."""
    rows: list[dict[str, Any]] = []
    common = common_epochs(results.study, table.data)
    for size in sorted(table.rows["size"].unique()):
        for detector in DETECTORS:
            found = detected(results, table, size, detector)
            for (model, epochs), part in found.groupby(["model", "epochs"], dropna=False):
                own = {"model": model, "epochs": epochs, "behind": epochs != common}
                numbers = _published_rate(published, table, str(model), size, detector)
                own |= {"size": f"{size:g}", "detector": detector}
                rows.append(own | _detection_row(part, detector) | numbers)
    if not rows:
        return None
    rows.sort(key=lambda row: (in_order(str(row["model"])), float(row["size"])))
    frame = pd.DataFrame(rows)
    trained = _values(frame.num_train)
    size = "ε" if table.is_linf else "c"
    shown = {
        "model": [model_name(row) for row in frame.itertuples()],
        size: frame["size"],
        "detector": frame.detector,
        "published": frame.published.map(share),
        "ours, as published": frame.as_published.map(share),
        "detected ± 95%": [plus_minus(r.rate, r.low, r.high) for r in frame.itertuples()],
        "false positives": frame.false_positives.map(share),
        "wrong and undetected": frame.undetected.map(share),
        "AUROC": frame.auroc.map(share),
    }
    note = (
        f"{head_of(results.study, table)}; detectors fitted on {trained} training images. As "
        "published: for marginal the share of all successful attacks; for the others the mean over "
        "predicted classes, which for KL is of the wrong rows that the published script scores. "
        "False positives are on clean test images"
    )
    linked = {name: "results" for name in list(shown)[4:]}
    titles = {"published": "published_source"}
    title = f"Detection: {table.title}"
    return View(
        *(f"{table.id}_detection", title, frame, pd.DataFrame(shown), note),
        linked,
        titles,
        "behind",
    )


def _detection_row(part: pd.DataFrame, detector: str) -> dict[str, Any]:
    has_rate = part[part.rate.notna()]
    share_of = (
        rate(has_rate, "rate", has_rate.successful.fillna(0).mean())
        if len(has_rate)
        else (np.nan, np.nan, np.nan)
    )
    return {
        "as_published": part[AS_PUBLISHED.get(detector, "class_mean")].astype(float).mean(),
        **dict(zip(("rate", "low", "high"), share_of, strict=True)),
        "false_positives": part.false_positives.astype(float).mean(),
        "undetected": part.undetected.astype(float).mean(),
        "auroc": part.auroc.astype(float).mean(),
        "successful": part.successful.astype(float).mean(),
        "seeds": len(part),
        "images": int(part.n.iloc[0]),
        "num_train": ", ".join(sorted({str(value) for value in part.num_train})),
        "results": " ".join(part.detection),
    }


def _published_rate(
    published: pd.DataFrame, table: Table, model: str, size: float, detector: str
) -> dict[str, Any]:
    same = (published.dataset == table.data) & (published.threat == table.threat)
    same &= (published.attack == table.attack) & (published.model == model)
    same &= (published.quantity == f"tp_{detector}") & (published["size"] == size)
    found = published[same & (published.kind == PAPER)]
    steps = table.rows.steps.dropna()
    if len(steps):
        found = found[found.steps.isna() | (found.steps == int(steps.iloc[0]))]
    if found.empty:
        return {"published": np.nan, "published_source": None, "published_note": None}
    first = found.iloc[0]
    names = {"published": "value", "published_source": "source", "published_note": "note"}
    return {name: first[column] for name, column in names.items()}


def smallest_view(results: Results, data: str, published: pd.DataFrame) -> View | None:
    """The mean smallest ε that fools each model; None without any."""
    rows = []
    for attack in ("fgsm", "pgd", "mim"):
        for table in results.drawn(data, [attack]):
            if not isinstance(table, Table):
                continue
            for model in sorted(set(table.rows.model), key=in_order):
                values = smallest_eps(results, table, [model])
                if isinstance(values, str):
                    continue
                per_seed = values.array[..., 0]
                same = (published.dataset == data) & (published.model == model)
                same &= (published.attack == attack) & (published.threat == "white box")
                printed = published[same & (published.quantity == SMALLEST)]
                paths = table.rows[table.rows.model == model].path
                rows.append(
                    {
                        "model": model,
                        "attack": table.title.removesuffix(f" on {data}"),
                        "published": float(printed.value.iloc[0]) if len(printed) else np.nan,
                        "published_source": printed.source.iloc[0] if len(printed) else None,
                        "ours": float(per_seed.mean()),
                        "median": float(np.median(per_seed)),
                        "images": per_seed.shape[1],
                        "results": " ".join(paths),
                    }
                )
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    shown = {
        "model": frame.model,
        "attack": frame.attack,
        "published": frame.published.map(share),
        "ours": frame.ours.map(share),
        "median": frame["median"].map(share),
    }
    note = "Over the sizes that were run; an image that no size fools counts as the largest + 0.1"
    return View(
        *(f"{data}_smallest", f"Mean smallest ε that fools, {data}", frame, pd.DataFrame(shown)),
        *(note, {"ours": "results"}, {"published": "published_source"}),
    )
