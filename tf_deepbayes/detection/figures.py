"""Figures of a fitted detector on one saved attack."""

from typing import Any

import numpy as np

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.metrics import confidence_interval
from tf_deepbayes.detection.detectors import Detector, Divergence
from tf_deepbayes.detection.roc import Roc, roc


def detection_figures(
    detector: Detector,
    clean_logits: Array,
    clean_labels: Array,
    adversarial_logits: Array,
    labels: Array,
    predicted: Array,
    guard_predicted: Array | None = None,
) -> dict[str, Any]:
    """Figures of a fitted detector on one saved attack.

    An attack succeeds if the victim's class is not the label; the guard detects. Every share has
    its 95% Wilson interval (`…_interval`) and, except for the transfer figures, the same per class
    (`…_per_class`, `…_per_class_interval`): clean images by label, attacked images by the victim's
    class. A share of no images is None.

    Args:
        clean_logits: the guard's logits on clean test images with `clean_labels`.
        adversarial_logits: the guard's logits on the attacked images with true `labels`.
        predicted: the victim's class of each attacked image.
        guard_predicted: the class whose threshold the guard applies, if the guard is not the
            victim.

    Returns:
        `detection_rate`: share of the successful attacks that are rejected, the published figure of
        marginal; `detection_rate_class_mean`: that of logit, unweighted mean over the victim's
        classes; `false_positive_rate`: share of clean test images rejected;
        `misclassified_undetected`: share of all attacked images that fool the victim and pass;
        `successful_attacks`: their number, also per class; `transferred`: see `_transferred`, None
        without `guard_predicted`; `auroc` and `roc` (at most 200 points) of clean images against
        `all` attacked images and against `successful` ones; the detector's fitted values; and for
        the KL detector `published_kl_rate_wrong_rows`, see `published_kl_rate`.
    """
    classes = clean_logits.shape[1]
    own = predicted if guard_predicted is None else guard_predicted
    rejected, success = detector.reject(adversarial_logits, own), predicted != labels
    everything = np.ones(len(labels), bool)
    figures = {
        "detector": detector.name,
        "threshold": detector.threshold,
        **_shares("detection_rate", rejected, success, predicted, classes),
        "detection_rate_class_mean": class_mean(rejected, success, predicted, classes),
        **_shares(
            "false_positive_rate",
            detector.reject(clean_logits),
            np.ones(len(clean_labels), bool),
            clean_labels,
            classes,
        ),
        **_shares("misclassified_undetected", success & ~rejected, everything, predicted, classes),
        "successful_attacks": int(success.sum()),
        "successful_attacks_per_class": np.bincount(predicted[success], minlength=classes).tolist(),
        "transferred": None
        if guard_predicted is None
        else _transferred(rejected, labels, guard_predicted, classes),
        **_curves(detector, clean_logits, adversarial_logits, success, own),
        **{name: np.asarray(getattr(detector, name)).tolist() for name in Detector.fitted_arrays},
    }
    if isinstance(detector, Divergence) and detector.divergence == "kl":
        rate = published_kl_rate(detector, adversarial_logits, labels, own)
        figures["published_kl_rate_wrong_rows"] = rate
    return figures


def published_kl_rate(
    detector: Detector, adversarial_logits: Array, labels: Array, predicted: Array
) -> float | None:
    """The KL detection rate that the published script reports, including its bug.

    For comparison with published numbers only: it is not a detection rate. The script finds the
    images predicted as class c among the *successful* attacks and takes those row numbers from
    *all* attacked images, so the wrong images are scored for class c as soon as one attack fails.
    `detection_rate_class_mean` is the same mean over the right rows.

    Args:
        detector: a fitted KL detector.
        adversarial_logits: `[N, C]` on the attacked images with true `labels`.
        predicted: the class of each image: from the logits saved with the attack if the guard is
            the victim, the guard's own for a transfer.

    Returns:
        The unweighted mean over the classes that successful attacks reach; None without any.
    """
    predicted_successful = predicted[predicted != labels]
    rates = []
    for c in np.unique(predicted_successful):
        rows = np.flatnonzero(predicted_successful == c)
        rates.append(detector.reject(adversarial_logits[rows], np.full(len(rows), c)).mean())
    return float(np.mean(rates)) if rates else None


def _transferred(
    rejected: Array, labels: Array, guard_predicted: Array, classes: int
) -> dict[str, Any]:
    """The published view of a transfer: the guard is the attacked classifier.

    `successful_attacks` counts the images that the guard itself misclassifies, and the shares are
    those of `detection_figures` with the guard's class in place of the victim's.
    """
    success = guard_predicted != labels
    everything = np.ones(len(labels), bool)
    return {
        "successful_attacks": int(success.sum()),
        **_share("detection_rate", rejected, success),
        "detection_rate_class_mean": class_mean(rejected, success, guard_predicted, classes),
        **_share("misclassified_undetected", success & ~rejected, everything),
    }


def _share(name: str, hits: Array, among: Array) -> dict[str, Any]:
    """The share of hits `[N]` among the images of `among` `[N]`, and its interval."""
    count = int(among.sum())
    share = float(hits[among].mean()) if count else None
    return {name: share, f"{name}_interval": confidence_interval(share, count)}


def _shares(name: str, hits: Array, among: Array, groups: Array, classes: int) -> dict[str, Any]:
    """`_share`, overall and for each class in `groups` `[N]`."""
    found = [_share("rate", hits, among & (groups == c)) for c in range(classes)]
    return {
        **_share(name, hits, among),
        f"{name}_per_class": [share["rate"] for share in found],
        f"{name}_per_class_interval": [share["rate_interval"] for share in found],
    }


def class_mean(hits: Array, among: Array, groups: Array, classes: int) -> float | None:
    """Unweighted mean of the classes' shares; classes without images are left out."""
    rates = _shares("rate", hits, among, groups, classes)["rate_per_class"]
    seen = [rate for rate in rates if rate is not None]
    return float(np.mean(seen)) if seen else None


def _curves(
    detector: Detector, clean_logits: Array, adversarial_logits: Array, success: Array, own: Array
) -> dict[str, Any]:
    clean = detector.standard_score(clean_logits)
    attacked = detector.standard_score(adversarial_logits, own)
    curves = {
        "all": roc(clean, attacked),
        "successful": roc(clean, attacked[success]) if success.any() else None,
    }
    return {
        "auroc": {name: curve and curve.auroc for name, curve in curves.items()},
        "roc": {name: curve and _points(curve) for name, curve in curves.items()},
    }


def _points(curve: Roc) -> dict[str, list[float]]:
    thin = curve.thinned()
    return {
        "false_positive_rate": thin.false_positive_rate.tolist(),
        "detection_rate": thin.detection_rate.tolist(),
    }
