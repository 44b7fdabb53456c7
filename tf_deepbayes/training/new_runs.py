"""New runs: the configuration of a classifier or a substitute, and how it is trained."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.splits import Split
from tf_deepbayes.models.baselines import BASELINES, CNN
from tf_deepbayes.runs import results
from tf_deepbayes.runs.checkpoints import RunConfig, prepare_folder
from tf_deepbayes.runs.run import Run
from tf_deepbayes.training import substitutes
from tf_deepbayes.training.settings import BOUND_SETTINGS, TrainingSettings
from tf_deepbayes.training.strategies import is_chief, training_strategy
from tf_deepbayes.training.substitutes import JacobianSettings, Oracle
from tf_deepbayes.training.train import VALIDATION_IMAGES, train

# Settings that a resumed run may change: they affect how long, how to monitor and how to compute,
# not what is computed.
CHANGEABLE = ("epochs", "eval_every", "jit_compile", "mixed_precision")
# Settings of the bound only: baselines are trained with cross-entropy.
OF_THE_BOUND = ("likelihood", "dim_z", *BOUND_SETTINGS)
NUM_SEED_IMAGES = 200


def run_config(
    model: str,
    dataset: Dataset,
    settings: TrainingSettings,
    num_train: int | None = None,
    likelihood: str | None = None,
    dim_z: int | None = None,
    computing: Mapping[str, bool] | None = None,
) -> RunConfig:
    """The configuration of a new run.

    Args:
        model: name of the factorisation or baseline.
        num_train: train on only the first images.
        likelihood: name of p(x|·); None: l2.
        dim_z: size of z; None: the published size for the data set.
        computing: precision settings in use.
    """
    sizes = {} if dim_z is None else {"dim_z": dim_z}
    training = dataclasses.asdict(settings) | {"num_train": num_train} | dict(computing or {})
    if model in BASELINES:
        training = {name: value for name, value in training.items() if name not in OF_THE_BOUND}
    form = None if model in BASELINES else likelihood or "l2"
    architecture = dataset.architecture.replace(**sizes)
    return RunConfig(model, dataset.name, architecture, form, settings.seed, training)


def train_run(
    config: RunConfig,
    dataset: Dataset,
    settings: TrainingSettings,
    folder: pathlib.Path,
    resume: bool = False,
    devices: int | None = None,
    jit_compile: bool = False,
) -> None:
    """Train a new run, or continue the one in the folder.

    Args:
        config: from `run_config` with the same settings.
        devices: GPUs to use; see `training_strategy`.

    Raises:
        InputError: the folder holds a run with other settings, or a run without `resume`.
    """
    images = dataset.train.first(config.training["num_train"])
    settings.steps_per_epoch(len(images))
    strategy = training_strategy(devices)
    settings.check_devices(strategy.num_replicas_in_sync)
    with strategy.scope():
        model = config.build()
    if is_chief(strategy):
        prepare_folder(folder, config, resume, CHANGEABLE)
    train(model, images, dataset.test, settings, folder, jit_compile=jit_compile)


@dataclasses.dataclass(frozen=True)
class SubstituteRun:
    """A substitute of a victim: a CNN trained to answer as the victim does.

    Distilled: on the victim's probabilities for training images (grey-box). With `jacobian`: on its
    classes for a few test images and images made from them (black-box).

    Attributes:
        victim: a freshly loaded run; the seed in `settings` also seeds its noise.
        jacobian: how a black-box substitute's images are augmented; None for a distilled one.
        num_images: number of training images (all); if black-box, of last test images (200).
    """

    victim: Run
    settings: TrainingSettings
    jacobian: JacobianSettings | None = None
    num_images: int | None = None

    @property
    def kind(self) -> str:
        """Its name on the command line."""
        return "distilled" if self.jacobian is None else "jacobian"

    @property
    def changeable(self) -> tuple[str, ...]:
        """What a resumed run may change; a jacobian run's rounds depend on its epochs."""
        return ("epochs", "eval_every") if self.jacobian is None else ("eval_every",)

    def train(self, folder: pathlib.Path, dataset: Dataset, resume: bool) -> dict[str, Any]:
        """Train it in the folder and compare it with the victim on test images → figures.

        The folder is a run folder, which also holds the victim's answers and `substitute.json`.
        """
        victim, settings = self.victim, self.settings
        images, test = self._choose_images(dataset)
        settings.steps_per_epoch(len(images))
        config = self._config(dataset, len(images))
        prepare_folder(folder, config, resume, self.changeable)
        oracle = Oracle(victim.logits_fn, folder / "answers", victim.model.generator, settings.seed)
        figures = self._train(oracle, images, test, config)
        path = folder / "substitute.json"
        results.write_result(path, "substitute", config, config.training, figures)
        return figures

    def _choose_images(self, dataset: Dataset) -> tuple[Array, Split]:
        """(images to query the victim with, test images for comparison), without overlap."""
        test = dataset.test
        if self.jacobian is None:
            images = dataset.train.first(self.num_images).images
            return images, test.first(min(VALIDATION_IMAGES, len(test)))
        count = NUM_SEED_IMAGES if self.num_images is None else self.num_images
        check_count("num_seed_images", count)
        if count >= len(test):
            raise InputError(
                f"num_seed_images must be below the {len(test)} test images, got {count}"
            )
        # Attacks use the first test images, so these are the last.
        return test.images[-count:], test.first(min(VALIDATION_IMAGES, len(test) - count))

    def _config(self, dataset: Dataset, num_images: int) -> RunConfig:
        """The configuration of its run folder."""
        victim, training = self.victim, dataclasses.asdict(self.settings)
        for name in BOUND_SETTINGS:
            del training[name]
        sampling = victim.sampling
        training |= {"kind": self.kind, "mode": sampling.mode, "num_samples": sampling.num_samples}
        training |= {"noise": victim.recorded_scheme, "victim": victim.folder.resolve().name}
        if self.jacobian is None:
            training["num_train"] = num_images
        else:
            rounds, step = dataclasses.astuple(self.jacobian)
            sizes = {"augmentation_rounds": rounds, "lambda": step}
            training |= {"num_seed_images": num_images, **sizes}
        seed = self.settings.seed
        return RunConfig("CNN", dataset.name, dataset.architecture, None, seed, training)

    def _train(
        self, oracle: Oracle, images: Array, test: Split, config: RunConfig
    ) -> dict[str, Any]:
        """Train it and compare it with the victim on the test images."""
        folder, substitute = oracle.folder.parent, CNN(config.architecture, config.seed)
        victim = oracle.ask("test", test.images).argmax(1)
        again = oracle.ask("test_again", test.images, first=len(test)).argmax(1)
        validation = Split(test.images, victim)
        common = (oracle, substitute, images, validation, self.settings, folder)
        if self.jacobian is None:
            queries = substitutes.distil(*common)
        else:
            queries = substitutes.train_by_queries(*common, self.jacobian)
        found = metrics.predict(substitute.logits, test.pixels).argmax(1)
        figures = substitutes.agreement_figures(found, victim, again, test.labels)
        return {"num_queries": queries, **figures}
