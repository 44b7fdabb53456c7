"""Robustness taken apart, as a page of Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tf_deepbayes.reporting.study_tables import markdown_table
from tf_deepbayes.reporting.text import format_share

MEANING = {
    "clean error": "wrong without an attack, for K to infinity",
    "noise alone": "predictions that flip without an attack",
    "broken": "PGD on cross-entropy, fresh noise",
    "known noise": "only with the noise known",
    "many samples": "only for K to infinity",
    "adaptive": "only by other losses and attacks",
    "margin": "nothing here broke it",
}


def scorecard(found: Mapping[str, Any], ball: str, worst: Mapping[str, Any]) -> str:
    """One page on one classifier at one size.

    Args:
        found: see `decompose`.
        ball: the ball in words.
        worst: figures of the worst case of each image.
    """
    blocks = (
        _head(found, ball, worst),
        _parts(found["decomposition"]),
        _curves(found["curves"]),
        _resubmission(found["resubmission"]),
        _audit(found["audit"]),
        _detectors(found["detectors"]),
    )
    filled = [block for block in map(list, blocks) if block]
    return "\n".join(line for block in filled for line in [*block, ""]).rstrip() + "\n"


def _head(found: Mapping[str, Any], ball: str, worst: Mapping[str, Any]) -> Iterator[str]:
    parts = found["decomposition"]
    low, high = worst["robust_accuracy_interval"]
    yield f"# Robustness taken apart, {ball}"
    yield ""
    yield (
        f"**{parts['verdict']}**: of {parts['num_images']} images, {parts['reported']:.3f} are "
        f"right under PGD on the published loss, and {worst['robust_accuracy']:.3f} ({low:.3f} to "
        f"{high:.3f}) under the worst attack on each."
    )
    noise = found["noise"]
    if noise["samples"]:
        fixed = "" if noise["known"] else "; its noise could not be fixed"
        yield f"The classifier samples; for K to infinity stands {noise['limit']}{fixed}."


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from markdown_table(heading, rows).splitlines()


def _with_interval(share: float, interval: Sequence[float]) -> str:
    return f"{share:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _parts(parts: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        [name, _with_interval(one["share"], one["interval"]), MEANING[name]]
        for name, one in parts["parts"].items()
    ]
    yield from _table(["part", "share (95%)", "images"], rows)


def _curves(curves: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A row for each curve; no table where the evaluation was told to leave all of them out."""
    if all(one["left_out"] for one in curves):
        return
    rows = []
    for one in curves:
        if one["left_out"]:
            rows.append([one["name"], one["left_out"], ""])
            continue
        points = zip(one["sizes"], one["robust"], strict=True)
        shown = ", ".join(f"{size}: {robust:.3f}" for size, robust in points)
        rows.append([one["name"], shown, one["verdict"]])
    yield from _table(["budget", "robust accuracy", "verdict"], rows)


def _resubmission(found: Mapping[str, Any]) -> Iterator[str]:
    if found["draws"] < 2:
        yield "Submitting an image again gives the same answer, and so does a vote."
        return
    rows = [
        [f"{row['n']} submissions, one succeeds", _with_interval(row["success"], row["interval"])]
        for row in found["submissions"]
    ]
    rows += [
        [
            f"majority of {row['m']} draws is right, {row['cost']} times the decodes",
            _with_interval(row["accuracy"], row["interval"]),
        ]
        for row in found["votes"]
    ]
    yield from _table([f"from {found['draws']} draws of the worst images", "chance (95%)"], rows)


def _audit(audit: Mapping[str, Any]) -> Iterator[str]:
    zero = audit["zero_gradients"]
    rows = [[f"gradient of {loss} exactly zero", format_share(zero[loss])] for loss in zero]
    if (found := audit["derivatives"]) is not None:
        said = f"{format_share(found['agree'])} ({found['precision']})"
        rows.append(["derivatives that agree with differences within 10%", said])
    for row in audit["cosines"]:
        eot = "more than any" if row["smallest_eot"] is None else f"{row['smallest_eot']:.0f}"
        said = f"{format_share(row['cosine'])}; EOT for .9: {eot}"
        rows.append([f"cosine between draws of the gradient, K = {row['K']}", said])
    yield from _table(["gradients", "share of images"], rows)


def _detectors(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["cells"]:
        return
    rows = [
        [
            *(cell["attack"], cell["detector"]),
            *(format_share(cell[n]) for n in ("success", "detected", "undetected", "auroc")),
        ]
        for cell in found["cells"]
    ]
    heading = ["attack", "detector", "success", "detected", "successful and undetected", "AUROC"]
    yield from _table(heading, rows)
    yield ""
    yield (
        f"The strongest attack against all detectors is {found['worst_attack']}, the detector that "
        f"lets most pass is {found['worst_detector']}."
    )
