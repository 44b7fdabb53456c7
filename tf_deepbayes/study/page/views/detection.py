"""Detection of attacks beside the published rates."""

from typing import Any

import numpy as np
import pandas as pd

from tf_deepbayes.study.claims.cells import Results
from tf_deepbayes.study.claims.detection import detected, rate
from tf_deepbayes.study.comparison import of_model, of_table, printed
from tf_deepbayes.study.page.tables import View, plus_minus, share
from tf_deepbayes.study.page.views.attacks import head_of, model_name, published_texts, values_of
from tf_deepbayes.study.provenance import Table, common_epochs
from tf_deepbayes.study.results import in_order

DETECTORS = ("marginal", "logit", "kl", "tv")
# Figures that the published script prints; of other detectors the mean over classes.
AS_PUBLISHED = {"marginal": "rate", "kl": "wrong_rows"}


def detection_view(results: Results, table: Table, published: pd.DataFrame) -> View | None:
    """Rates, false positives on test images, misclassified and undetected; None without any."""
    rows: list[dict[str, Any]] = []
    common, numbers = common_epochs(results.study, table.data), of_table(published, table)
    for size in sorted(table.rows["size"].unique()):
        for detector in DETECTORS:
            found = detected(results, table, size, detector)
            for (model, epochs), part in found.groupby(["model", "epochs"], dropna=False):
                own = {"model": model, "epochs": epochs, "behind": epochs != common}
                of_kind = numbers[numbers.quantity == f"tp_{detector}"]
                beside = printed(of_model(of_kind, str(model), part, size), part)
                own |= {"size": f"{size:g}", "detector": detector}
                rows.append(own | _detection_row(part, detector) | beside)
    if not rows:
        return None
    rows.sort(key=lambda row: (in_order(str(row["model"])), float(row["size"])))
    frame = pd.DataFrame(rows)
    trained = values_of(frame.num_train)
    size = "ε" if table.is_linf else "c"
    shown = {
        "model": [model_name(row) for row in frame.itertuples()],
        size: frame["size"],
        "detector": frame.detector,
        "published": published_texts(frame.published, frame.refused),
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
    titles = {"published": "published_title"}
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
