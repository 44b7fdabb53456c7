"""New substitutes of a run: what their folder says, and how they are trained."""

import dataclasses
import pathlib
from typing import Any

from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import PathLike
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.origins import origin_of
from tf_deepbayes.data.splits import Split
from tf_deepbayes.models.baselines import CNN
from tf_deepbayes.runs import results
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.identity import weights_digest
from tf_deepbayes.runs.state.trained import training
from tf_deepbayes.training import substitutes
from tf_deepbayes.training.settings import BOUND_SETTINGS, TrainingSettings
from tf_deepbayes.training.substitutes import JacobianSettings, Oracle
from tf_deepbayes.training.train import VALIDATION_IMAGES

# Images for each class that a black-box substitute begins with, on average (Li et al. 2019,
# section 5): 2,000 on MNIST, 400 on plane_frog.
SEED_IMAGES_PER_CLASS = 200


def num_seed_images(num_classes: int, num_test: int) -> int:
    """How many images a black-box substitute begins with: the paper's, or half of a small test set.

    The other test images are left to compare on and to attack.
    """
    return min(SEED_IMAGES_PER_CLASS * num_classes, num_test // 2)


@dataclasses.dataclass(frozen=True)
class SubstituteRun:
    """A substitute of a victim: a CNN that answers as the victim does.

    Distilled: on the victim's probabilities of training images (grey-box). With `jacobian`: on its
    classes of a few test images and of images made from them (black-box).

    Attributes:
        victim: a freshly loaded run; the seed of `settings` is also that of its noise.
        jacobian: how the images of a black-box substitute multiply; None for a distilled one.
        num_images: the first training images (all), of a black-box one the last test images
            (`num_seed_images`).
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
        """What a resumed run may change; the rounds of a jacobian one depend on its epochs."""
        return ("epochs", "eval_every") if self.jacobian is None else ("eval_every",)

    def train(self, folder: PathLike, dataset: Dataset, resume: bool) -> dict[str, Any]:
        """Train it in the folder and compare it with the victim on test images; the figures.

        The folder is a run folder, with the victim's answers below it and `substitute.json`.
        """
        victim, settings, folder = self.victim, self.settings, pathlib.Path(folder)
        images, test = self._choose_images(dataset)
        settings.steps_per_epoch(len(images))
        config, path = self._config(dataset, len(images)), folder / "substitute.json"
        rounds = 1 + (self.jacobian.augmentation_rounds if self.jacobian else 0)
        with training(
            folder, config, rounds * settings.epochs, resume, self.changeable
        ) as anything:
            if not anything and path.is_file():
                return results.read_result(path, "substitute")["figures"]
            oracle = Oracle(
                victim.logits_fn, folder / "answers", victim.model.generator, settings.seed
            )
            figures = self._train(oracle, images, test, config)
            results.write_result(path, "substitute", config, config.training, figures)
        return figures

    def _choose_images(self, dataset: Dataset) -> tuple[Array, Split]:
        """(images that the victim is asked about, test images to compare on): none is in both."""
        test = dataset.test
        if self.jacobian is None:
            images = dataset.train.first(self.num_images).images
            return images, test.first(min(VALIDATION_IMAGES, len(test)))
        count = self.num_images
        if count is None:
            count = num_seed_images(dataset.architecture.num_classes, len(test))
        check_count("num_seed_images", count)
        if count >= len(test):
            raise InputError(
                f"num_seed_images must be below the {len(test)} test images, got {count}"
            )
        # Attacks take the first test images, so these are the last.
        return test.images[-count:], test.first(min(VALIDATION_IMAGES, len(test) - count))

    def _config(self, dataset: Dataset, num_images: int) -> RunConfig:
        """What the folder says."""
        victim, settled = self.victim, dataclasses.asdict(self.settings)
        for name in BOUND_SETTINGS:
            del settled[name]
        sampling = victim.sampling
        settled |= {"kind": self.kind, "mode": sampling.mode, "num_samples": sampling.num_samples}
        settled |= {"noise": victim.recorded_scheme, "victim": victim.folder.resolve().name}
        settled["victim_weights"] = weights_digest(victim.model)
        if self.jacobian is None:
            settled["num_train"] = num_images
        else:
            rounds, step = dataclasses.astuple(self.jacobian)
            sizes = {"augmentation_rounds": rounds, "lambda": step}
            settled |= {"num_seed_images": num_images, **sizes}
        settled |= origin_of(dataset)
        seed = self.settings.seed
        return RunConfig("CNN", dataset.name, dataset.architecture, None, seed, settled)

    def _train(
        self, oracle: Oracle, images: Array, test: Split, config: RunConfig
    ) -> dict[str, Any]:
        """Train, and compare on the test images."""
        folder, substitute = (
            oracle.folder.parent,
            CNN(config.architecture, config.seed),
        )
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
