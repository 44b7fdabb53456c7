"""Tables of what is behind the numbers: evaluations, training, cost, provenance."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tf_deepbayes.reporting.study_tables import strongest_attack
from tf_deepbayes.runs.results import read_result
from tf_deepbayes.study.page.tables import View, number, ordered, plus_minus, share
from tf_deepbayes.study.results import ADAPTIVE, Study, adaptive_files
from tf_deepbayes.study.rows import noise_of, whole
from tf_deepbayes.study.rows import share as share_of

SHORT = 12  # characters of a digest on the page


def attacks_view(study: Study) -> View | None:
    """What to know of each attack: zero gradients, clean predictions that change, ℓ2."""
    if study.attacks.empty:
        return None
    frame = ordered(study.attacks, "attack", "size")
    shown = {
        "model": frame.model + frame.seed.map(lambda seed: f" seed {seed}" if seed else ""),
        "data": frame.data,
        "attack": frame["name"],
        "accuracy": frame.accuracy.map(share),
        "ℓ2 of wrong": frame.l2.map(lambda v: number(v, 2)),
        "zero gradients": frame.zero_gradients.map(share),
        "clean changes": frame.clean_changes.map(share),
    }
    note = (
        "Zero gradients: images where the attack's loss has a gradient of exactly zero; where the "
        "share is not small, the accuracy says nothing about robustness. Clean changes: clean "
        "predictions that differ in another draw of the noise"
    )
    return View(
        *("attacks", "Every attack", frame, pd.DataFrame(shown), note, {"accuracy": "path"})
    )


def evaluations_view(study: Study) -> View | None:
    """The worst case of each image over many attacks; None without any."""
    rows = []
    for run, path, _, figures in study.evaluations():
        with whole(path):
            worst = figures["worst_case"]
            low, high = map(share_of, worst["robust_accuracy_interval"])
            failed = [c["name"] for c in figures["checks"] if c["verdict"] == "FAIL"]
            rows.append(
                {
                    **{"data": run.data, "model": run.model, "name": path.stem},
                    "images": int(worst["num_images"]),
                    "clean": share_of(worst["clean_accuracy"]),
                    "noise": share_of(figures["unperturbed"]["robust_accuracy"]),
                    **{"robust": share_of(worst["robust_accuracy"]), "low": low, "high": high},
                    "strongest": strongest_attack(figures),
                    "failed": "; ".join(failed) or "none",
                    "path": str(path.relative_to(study.root)),
                }
            )
    if not rows:
        return None
    frame = ordered(pd.DataFrame(rows), "name")
    shown = {
        **{"model": frame.model, "data": frame.data, "evaluation": frame["name"]},
        "images": frame.images.map(str),
        **{"clean": frame.clean.map(share), "noise alone": frame.noise.map(share)},
        "worst case ± 95%": [plus_minus(r.robust, r.low, r.high) for r in frame.itertuples()],
        **{"strongest": frame.strongest, "failed checks": frame.failed},
    }
    title = "Worst case of each image over many attacks"
    links = {"worst case ± 95%": "path"}
    return View("evaluations", title, frame, pd.DataFrame(shown), links=links)


def adaptive_view(study: Study) -> View | None:
    """The attacks that broke the published fusion model, published beside ours; None without."""
    rows: list[dict[str, Any]] = []
    for run in study.runs.itertuples():
        for path in adaptive_files(study.root / str(run.folder)):
            with whole(path):
                content = read_result(path, ADAPTIVE)
                about = {"path": str(path.relative_to(study.root)), **_sampled(content["settings"])}
                about |= {"data": run.data, "model": run.model}
                rows += [{"attack": a, **about, **f} for a, f in content["figures"].items()]
    if not rows:
        return None
    with whole(study.root / rows[0]["path"]):
        frame = pd.DataFrame(rows)
        shown = {
            **{"model": frame.model, "data": frame.data, "attack": frame.attack},
            **{"K": frame.K.map(str), "noise": frame.noise, "epochs": frame.epochs.map(str)},
            "ε · 255": (255 * frame.eps).map("{:g}".format),
            "published success": frame.published_success.map(share),
            "ours": frame.success.map(share),
            "published rejected": frame.published_rejected.map(share),
            "ours rejected": frame.rejected.map(share),
            "wrong and passed": frame.passed.map(share),
            "zero gradients": frame.zero_gradients.map(share),
            "top-2 gap, nats": frame.top2_gap.map(lambda v: number(v, 1)),
            "clean accuracy": frame.clean_accuracy.map(share),
            "images": frame.num_images.map(str),
        }
    note = (
        "Success and rejections are shares of all attacked images, clean errors included, on one "
        "draw of fresh noise; the detector is KL at 5% false positives"
    )
    title = "The attacks of Tramèr and others 2020 on a fusion model"
    return View("adaptive", title, frame, pd.DataFrame(shown), note, {"ours": "path"})


def _sampled(settings: Mapping[str, Any]) -> dict[str, Any]:
    """How the victim's z were drawn, and after how many epochs."""
    return {
        "K": settings.get("num_samples", "–"),
        "noise": noise_of(settings),
        "epochs": settings.get("epochs", "–"),
    }


def training_view(study: Study) -> View:
    """Epochs, time, bound and validation accuracy of each run."""
    frame = ordered(study.runs, "seed")
    frame = frame.assign(config=frame.folder + "/config.json")
    shown = {
        "model": frame.model,
        "data": frame.data,
        "seed": frame.seed.map(str),
        "epochs": [f"{r.epochs} of {number(r.asked)}" for r in frame.itertuples()],
        "minutes": (frame.seconds / 60).map(number),
        "bound, nats": frame.bound.map(lambda v: number(v, 2)),
        "validation accuracy": frame.val_accuracy.map(share),
    }
    links = {"epochs": "config"}
    return View("training", "Training", frame, pd.DataFrame(shown), links=links)


def cost_view(study: Study) -> View:
    """Hours of each rule, by the seconds that the results record."""
    rows: list[dict[str, Any]] = []
    for data, part in study.runs.groupby("data"):
        rows.append({"data": data, "what": "training", "results": len(part)})
        rows[-1]["seconds"] = float(part.seconds.sum())
        own = study.attacks[study.attacks.data == data]
        for attack, found in own.groupby("attack"):
            rows.append({"data": data, "what": str(attack), "results": len(found)})
            rows[-1]["seconds"] = float(found.seconds.sum())
    frame = pd.DataFrame(rows)
    shown = {
        "what": frame.what,
        "data": frame.data,
        "results": frame.results.map(str),
        "hours": (frame.seconds / 3600).map(lambda v: number(v, 2)),
    }
    note = (
        "Training: seconds of the epochs; attacks: seconds of the batches, without the start of a "
        "process, the scoring of clean images and the detection, which results do not record"
    )
    return View("cost", "Cost", frame, pd.DataFrame(shown), note)


def provenance_view(study: Study) -> View:
    """The digest of each run's weights, and what its results are of."""
    frame = ordered(study.runs, "seed")
    rows = []
    for run in frame.itertuples():
        own = study.attacks[
            (study.attacks.data == run.data)
            & (study.attacks.model == run.model)
            & (study.attacks.seed == run.seed)
        ]
        rows.append(
            {
                "in_results": " ".join(sorted(set(own.weights))),
                "images": " ".join(sorted(set(own.images))),
                "versions": " ".join(sorted({str(run.version), *own.version})),
                "config": f"{run.folder}/config.json",
            }
        )
    frame = pd.concat([frame, pd.DataFrame(rows)], axis=1)
    shown = {
        "model": frame.model,
        "data": frame.data,
        "seed": frame.seed.map(str),
        "weights": [
            str(w)[:SHORT] if isinstance(w, str) else "not recorded" for w in frame.weights
        ],
        "weights of its results": frame.in_results.map(_shortened),
        "images": frame.images.map(_shortened),
        "version": frame.versions,
    }
    links = {"weights": "config"}
    return View("provenance", "Provenance", frame, pd.DataFrame(shown), links=links)


def _shortened(digests: str) -> str:
    whole_words = digests.replace("not recorded", "not-recorded").split()
    return " ".join(word[:SHORT].replace("-", " ") for word in whole_words) or "–"
