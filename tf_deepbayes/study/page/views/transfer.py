"""Attacks on one model, classified by another."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.metrics import confidence_interval
from tf_deepbayes.detection.figures import class_mean
from tf_deepbayes.study.claims.cells import PUBLISHED_KIND
from tf_deepbayes.study.comparison import printed
from tf_deepbayes.study.page.tables import View, ordered, plus_minus, share
from tf_deepbayes.study.page.views.attacks import published_texts
from tf_deepbayes.study.provenance import in_words
from tf_deepbayes.study.results import Study
from tf_deepbayes.study.rows import WHITE_BOX


def transfer_view(study: Study, published: pd.DataFrame) -> View | None:
    """The accuracy of a guard on images attacked on another model; None without any.

    As published: on the images that fooled the attacked model. Beside it on all images.
    """
    found = study.detections
    rows = found[found.guard.notna() & found.transfer_successful.notna()]
    if rows.empty:
        return None
    keys = ["data", "model", "seed", "name"]
    columns = ("n", "threat", "attack", "kind", "size", "steps", "K", "learning_rate", "weight")
    frame = rows.merge(study.attacks[[*keys, *columns]], on=keys).drop_duplicates([*keys, "guard"])
    used = zip(frame.path, frame.is_chosen, frame.n, strict=True)
    frame = frame.assign(n=[study.num_detected(*one) or np.nan for one in used])
    frame = frame.assign(accuracy=1.0 - frame.transfer_successful.astype(float) / frame.n)
    frame = ordered(frame, "name", "guard")
    told = [
        {"in_words": in_words(row)} | _of_fooled(study, row) | _beside(published, row)
        for row in frame.to_dict("records")
    ]
    frame = pd.concat([frame, pd.DataFrame(told)], axis=1)
    pairs = zip(frame.accuracy.astype(float), frame.n, strict=True)
    ends = [confidence_interval(value, n) or (0.0, 1.0) for value, n in pairs]
    shown = {
        **{"attacked": frame.model, "data": frame.data, "attack": frame.in_words},
        **{
            "classified by": frame.guard,
            "published": published_texts(frame.published, frame.refused),
        },
        "ours ± 95%": [
            plus_minus(r.of_fooled, r.of_fooled_low, r.of_fooled_high) for r in frame.itertuples()
        ],
        "of all images ± 95%": [
            plus_minus(value, *end) for value, end in zip(frame.accuracy, ends, strict=True)
        ],
        "logit: published": published_texts(frame.logit_published, frame.logit_refused),
        "logit: ours": frame.logit.map(share),
    }
    title = "Attacks on one model, classified by another"
    note = (
        "Accuracy as published, on the images that fooled the attacked model, and on all of them. "
        "logit: of those images, the share of the guard's errors that its logit detector finds, "
        "mean over predicted classes"
    )
    links = {name: "path" for name in ("ours ± 95%", "of all images ± 95%", "logit: ours")}
    titles = {"published": "published_title", "logit: published": "logit_published_title"}
    return View("transfer", title, frame, pd.DataFrame(shown), note, links, titles)


def _of_fooled(study: Study, row: Mapping[Any, Any]) -> dict[str, Any]:
    """The guard on the images that fooled the victim; NaN where the outcomes were not kept."""
    found = study.detected(row["path"])
    if found is None or found.guard_predicted is None or not found.fooled.any():
        return dict.fromkeys(("of_fooled", "of_fooled_low", "of_fooled_high", "logit"), np.nan)
    right = found.guard_right[found.fooled]
    share_right = float(right.mean())
    low, high = confidence_interval(share_right, len(right)) or (0.0, 1.0)
    values = {"of_fooled": share_right, "of_fooled_low": low, "of_fooled_high": high}
    wrong: Array = found.fooled & ~found.guard_right
    logit = found.rejected.get("logit")
    rate = None
    if logit is not None and wrong.any():
        classes = int(found.guard_predicted.max()) + 1
        rate = class_mean(logit.astype(bool), wrong, found.guard_predicted, classes)
    return values | {"logit": np.nan if rate is None else rate}


def _beside(published: pd.DataFrame, row: Mapping[Any, Any]) -> dict[str, Any]:
    """What the paper prints for the pair."""
    same = (published.dataset == row["data"]) & (published.model == row["guard"])
    same &= published.threat == f"transfer from {row['model']}"
    same &= (published.attack == row["attack"]) & (published["size"] == row["size"])
    same &= row["threat"] == WHITE_BOX and bool(PUBLISHED_KIND.fullmatch(row["kind"]))
    numbers, cell = published[same], pd.DataFrame([row])
    accuracy = printed(numbers[numbers.quantity == "transfer_accuracy"], cell)
    return accuracy | printed(numbers[numbers.quantity == "tp_logit"], cell, "logit_")
