"""The table of the attacks of Tramèr et al. 2020, published beside ours, as markdown."""

import math
from collections.abc import Mapping
from typing import Any

from tf_deepbayes.reporting.study_tables import markdown_table

COLUMNS = (
    *("attack", "eps", "success: published", "ours", "rejected: published", "ours"),
    *("misclassified and passed", "success of those that were right", "zero gradients"),
)


def adaptive_table(
    model: str, extractor: Mapping[str, Any] | None, rows: Mapping[str, Mapping[str, Any]]
) -> str:
    """A line on the classifier, and a row for each attack.

    Args:
        extractor: of a fusion model, as its configuration describes it.
        rows: figures by the attack's name, see `runs.adaptive.table`.
    """
    lines = []
    for name, row in rows.items():
        shares = ("published_success", "success", "published_rejected", "rejected", "passed")
        cells = [_share(row[key]) for key in (*shares, "success_rate", "zero_gradients")]
        lines.append([name, f"{row['eps'] * 255:g}/255", *cells])
    return f"{_about(model, extractor, rows)}\n\n{markdown_table(COLUMNS, lines)}"


def _about(
    model: str, extractor: Mapping[str, Any] | None, rows: Mapping[str, Mapping[str, Any]]
) -> str:
    first = max(rows.values(), key=lambda row: row["num_images"])
    parts = [model]
    if extractor is not None:
        size = math.prod(extractor["feature_shape"])
        accuracy = extractor.get("test_accuracy")
        own = "" if accuracy is None else f", itself {_share(accuracy)} right"
        parts.append(f"on {extractor['file']}, layer {extractor['layer']} (|f| = {size}{own})")
    return (
        f"{' '.join(parts)}: {first['num_images']} images, clean accuracy "
        f"{_share(first['clean_accuracy'])}, {_share(first['clean_prediction_changes'])} of clean "
        f"predictions change between draws, median top-2 gap {first['top2_gap']:.1f} nats, "
        f"{_share(first['clean_rejected'])} of clean images rejected"
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
