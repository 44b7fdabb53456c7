"""Folders of runs with results as the apps write them, made of chosen outcomes."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.small import IMAGES as SMALL
from tf_deepbayes import attacks
from tf_deepbayes.core.files import digest, write_arrays, write_json
from tf_deepbayes.evaluation.result_names import attack_name, attack_parts
from tf_deepbayes.runs import results
from tf_deepbayes.runs.checkpoints import RunConfig, save_config

MODELS = ("GFZ", "GBZ", "GFY", "GBY", "DFX", "DBX", "DFZ")
CLASSES, DRAWS = 10, 5
CURVE = {"false_positive_rate": [0.0, 0.1, 1.0], "detection_rate": [0.0, 0.9, 1.0]}


@dataclasses.dataclass
class Runs:
    """A folder of runs that grows by runs and attacks on them.

    Attributes:
        images: of each attack; their labels are the same everywhere.
    """

    root: pathlib.Path
    data: str = "mnist"
    images: int = 200

    @property
    def labels(self) -> np.ndarray:
        """True classes of the images, `[N]`."""
        return np.arange(self.images) % CLASSES

    def folder(self, model: str, seed: int = 0) -> pathlib.Path:
        """The folder of a run."""
        return self.root / self.data / (model if seed == 0 else f"{model}_seed{seed}")

    def run(
        self, model: str, epochs: int = 20, asked: int = 100, seed: int = 0, dim_z: int = 64
    ) -> None:
        """A trained run, without a checkpoint."""
        folder = self.folder(model, seed)
        sizes = dataclasses.replace(SMALL, dim_z=dim_z)
        config = RunConfig(model.split("_")[0], self.data, sizes, "l2", seed, {"epochs": asked})
        save_config(folder, config)
        weights = self.weights(model, seed, epochs)
        trained = {"epochs": epochs, "epochs_asked": asked, "weights": weights, "seed": seed}
        write_json(folder / "trained.json", trained)
        rows = [f"{e},{-500 + e},30,{min(0.9 + e / 1000, 1.0)}" for e in range(1, epochs + 1)]
        text = "\n".join(["epoch,bound,seconds,val_accuracy", *rows])
        (folder / "history.csv").write_text(text + "\n")

    def weights(self, model: str, seed: int = 0, epochs: int = 20) -> str:
        """The digest of the run's weights."""
        return digest(np.frombuffer(f"{self.data} {model} {seed} {epochs}".encode(), np.uint8))

    def attack(
        self,
        model: str,
        eps: float,
        accuracy: float | np.ndarray,
        name: str = "fgsm",
        seed: int = 0,
        clean: float = 1.0,
        pixels: bool = False,
        options: Mapping[str, Any] | None = None,
        detector: str | None = None,
        **settings: Any,
    ) -> str:
        """An attack that leaves this accuracy (or these images right, `[N, R]`); its name.

        Args:
            options: of the attack.
            detector: that it evades as well.
            settings: of the result, in place of the usual ones.
        """
        attack = attacks.build(name, **dict(options or {}))
        folder, labels = self.folder(model, seed) / "attacks", self.labels
        wrong = (labels + 1) % CLASSES
        if isinstance(accuracy, float | int):
            random = np.random.default_rng([int(1000 * eps), seed, *map(ord, model)])
            accuracy = random.random((self.images, DRAWS)) < accuracy
        kept = np.asarray(accuracy, bool)
        predicted = np.where(kept, labels[:, None], wrong[:, None])
        is_clean = np.arange(self.images)[:, None] < clean * self.images
        clean_predicted = np.where(
            np.repeat(is_clean, DRAWS + 1, axis=1), labels[:, None], wrong[:, None]
        )
        logits = np.eye(CLASSES, dtype=np.float32)[predicted[:, 0]]
        arrays = {
            **({"adversarial": self.pixels(eps)} if pixels else {}),
            "labels": labels,
            "attack_labels": labels,
            "clean_logits": np.eye(CLASSES, dtype=np.float32)[clean_predicted[:, 0]],
            "clean_predicted": clean_predicted,
            "adversarial_logits": logits,
            "predicted": predicted,
            "indices": np.arange(self.images),
        }
        substitute = settings.get("substitute")
        parts = list(attack_parts(attack))
        if detector:
            parts += [detector, f"lambda{attack.detection_lambda:g}"]  # type: ignore[attr-defined]
        parts += [f"substitute_{pathlib.Path(substitute).name}"] if substitute else []
        stem = attack_name(name, attack, eps, parts)
        told = attack.settings() | ({"detector": {"name": detector}} if detector else {})
        trained = json.loads((folder.parent / "trained.json").read_text())
        content = {
            "attack": told,
            "eps": eps,
            "num_samples": 10,
            "noise": None,
            "weights": trained["weights"],
            "data": digest(labels),
            "version": "1",
            "eval_draws": DRAWS,
        }
        figures = {
            "num_images": self.images,
            "draws": DRAWS,
            "accuracy": float(kept.mean()),
            "clean_accuracy": float((clean_predicted[:, 0] == labels).mean()),
            "clean_prediction_changes": 0.01,
            "zero_gradients": 0.0,
            "perturbation_of_misclassified": {"l2": {"mean": 28 * eps}},
            **({"substitute_accuracy": 0.25} if substitute else {}),
            "seconds": 60.0,
        }
        write_arrays(folder / f"{stem}.npz", arrays)
        config = RunConfig(model.split("_")[0], self.data, SMALL, "l2", seed, {})
        results.write_result(folder / f"{stem}.json", "attack", config, content | settings, figures)
        return stem

    def pixels(self, eps: float) -> np.ndarray:
        """Small images that get brighter with ε."""
        random = np.random.default_rng(0)
        found = random.random((self.images, 6, 6, 1)).astype(np.float32)
        return np.clip(found + np.float32(eps), 0, 1)

    def detect(
        self,
        model: str,
        attack: str,
        rates: Mapping[str, float],
        guard: str | None = None,
        outcomes: Mapping[str, np.ndarray] | None = None,
        settings: Mapping[str, Any] | None = None,
        **figures: Any,
    ) -> None:
        """A detection of an attack by the model itself or a guard.

        Args:
            outcomes: the arrays next to it.
            settings: of the result, beside the usual ones.
        """
        rows = [
            {
                "detector": detector,
                "detection_rate": rate,
                "detection_rate_interval": [max(rate - 0.05, 0.0), min(rate + 0.05, 1.0)],
                "detection_rate_class_mean": 0.9 * rate,
                "false_positive_rate": 0.06,
                "misclassified_undetected": (1 - rate) / 2,
                "successful_attacks": self.images // 2,
                "auroc": {"all": 0.9, "successful": 0.95},
                "roc": {"all": None, "successful": CURVE},
                **({"published_kl_rate_wrong_rows": 0.9} if detector == "kl" else {}),
                **figures,
            }
            for detector, rate in rates.items()
        ]
        config = RunConfig(model.split("_")[0], self.data, SMALL, "l2", 0, {})
        name = f"{attack}_guard_{guard}" if guard else attack
        path = self.folder(model) / "detection" / f"{name}.json"
        content = {"attack": attack, "num_train": 500, **(settings or {})}
        results.write_result(path, "detection", config, content, rows)
        if outcomes:
            write_arrays(path.with_suffix(".npz"), dict(outcomes))

    def evaluate(
        self, model: str, eps: float, parts: Mapping[str, float], more: str = "", **settings: Any
    ) -> str:
        """An evaluation that took the robustness apart; the name of its result.

        Args:
            more: of the name.
        """
        between = lambda value: [max(value - 0.05, 0.0), min(value + 0.05, 1.0)]  # noqa: E731
        margin, wrong = parts["margin"], int(self.images * (1 - parts["margin"]))
        broken_by: list[str | None] = ["pgd"] * wrong + [None] * (self.images - wrong)
        shares = {n: {"share": share, "interval": between(share)} for n, share in parts.items()}
        curve = {"name": "steps", "left_out": "", "sizes": [1, 20], "robust": [0.6, margin]}
        once = {"n": 10, "success": 0.7, "interval": between(0.7)}
        vote = {"m": 3, "cost": 3, "accuracy": 0.4, "interval": between(0.4)}
        apart = {
            "eps": eps,
            "decomposition": {
                **{"parts": shares, "verdict": "margin", "reported": 0.5},
                "num_images": self.images,
            },
            "curves": [curve | {"verdict": "saturated"}, {"name": "queries", "left_out": "no"}],
            "resubmission": {"draws": 20, "submissions": [once], "votes": [vote]},
        }
        figures = {
            "worst_case": {
                **{"robust_accuracy": margin, "robust_accuracy_interval": between(margin)},
                **{"num_images": self.images, "clean_accuracy": 0.95, "first_broken_by": broken_by},
            },
            "unperturbed": {"robust_accuracy": 0.9},
            "components": [{"name": "pgd", "robust_accuracy": margin}],
            "checks": [],
            "decomposition": apart,
        }
        name = f"eps{eps:g}_standard{more}"
        config = RunConfig(model, self.data, SMALL, "l2", 0, {})
        path = self.folder(model) / "evaluation" / f"{name}.json"
        results.write_result(path, "evaluation", config, {"eps": eps, **settings}, figures)
        return name

    def complete(
        self, accuracies: Mapping[str, Sequence[float]], sizes: Sequence[float] = (0.1, 0.2, 0.3)
    ) -> None:
        """A run of each model, attacked by FGSM at each size."""
        for model, values in accuracies.items():
            self.run(model)
            for eps, accuracy in zip(sizes, values, strict=True):
                self.attack(model, eps, accuracy)


# Accuracy under FGSM at .1, .2, .3: generative models fall slowly, the others at once.
AS_CLAIMED = {
    **{model: [0.9, 0.8, 0.7] for model in ("GFZ", "GFY", "GBY")},
    "GBZ": [0.97, 0.9, 0.85],
    **{"DFX": [0.5, 0.1, 0.05], "DBX": [0.7, 0.6, 0.5], "DFZ": [0.5, 0.1, 0.05]},
}
