"""A trained classifier as a command line names it: its run folder, its logits, its images."""

import dataclasses
import functools
import pathlib
from typing import Any

from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.attacks.white_box.lazy_logits import LazyLogits
from tf_deepbayes.core.axes import LogitsFn
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.data import datasets
from tf_deepbayes.inference import noise
from tf_deepbayes.legacy import published_names
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.registry import Classifier
from tf_deepbayes.models.xla import compile_terms
from tf_deepbayes.runs import checkpoints

DEFAULT_NUM_SAMPLES = 10


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained classifier and how it is sampled.

    Attributes:
        folder: its run folder.
        num_samples: K of prediction.
        mode: how z is sampled.
        seed: of the noise.
        logits_fn: `[B, …]` → `[B, C]` with fresh noise at each call; one function, one trace.
        scheme: how the K draws are made, one of `noise.SCHEMES`.
    """

    folder: pathlib.Path
    config: checkpoints.RunConfig
    model: Classifier
    num_samples: int
    mode: str
    seed: int
    logits_fn: LogitsFn
    scheme: str = noise.INDEPENDENT

    @classmethod
    def load(
        cls,
        name: str,
        data_name: str,
        runs: pathlib.Path,
        num_samples: int | None = None,
        mode: str = "sample",
        seed: int = 0,
        block_size: int | None = None,
        jit_compile: bool = False,
        scheme: str = noise.INDEPENDENT,
    ) -> "Run":
        """The classifier of a run folder, of a model's name or letter, or of a published name.

        Args:
            name: a path, GFZ … GBY, MLP, CNN, BNN, A … G, or such as bayes_K10_Z32_A and bnn_K10.
            data_name: data set of the run, where the name is not a path.
            runs: folder of all runs, `<data>/<model>` below it.
            num_samples: K; the published name's or 10 when None.
            mode: how z is sampled, see `LatentClassifier.log_weights`.
            seed: of the noise drawn.
            block_size: decodes held in memory at a time, the model's own when None.
            jit_compile: compile it with XLA, see `models.xla`.
            scheme: how the K draws are made, one of `noise.SCHEMES`.
        """
        folder, published_samples = find_run(name, data_name, runs)
        wanted = published_samples if num_samples is None else num_samples
        count = check_count("num_samples", wanted)
        model, config = checkpoints.load_model(folder)
        if block_size is not None:
            model.block_size = check_count("block_size", block_size)
        if jit_compile:
            compile_terms(model)
        model.generator.reset_from_seed(seed)
        logits_fn = functools.partial(model.logits, num_samples=count, mode=mode, scheme=scheme)
        return cls(folder, config, model, count, mode, seed, logits_fn, scheme)

    @property
    def recorded_scheme(self) -> str | None:
        """The scheme as results hold it: None, which older results say too, for the published."""
        return None if self.scheme == noise.INDEPENDENT else self.scheme

    def access(
        self,
        num_samples: int | None = None,
        factor: str | None = None,
        common_random_numbers: bool = False,
    ) -> ModelAccess:
        """What an attack sees of it.

        Args:
            num_samples: K that the attack uses, the prediction's when None.
            factor: only this factor of the joint density, such as "p(y|z)".
            common_random_numbers: the same noise at every step instead of fresh noise.
        """
        count = self.num_samples
        if num_samples is not None:
            count = check_count("attack_samples", num_samples)
        options: dict[str, Any] = {"num_samples": count, "scheme": self.scheme}
        if common_random_numbers:
            options["seed"] = self.seed
        if factor is not None:
            if not isinstance(self.model, LatentClassifier):
                raise InputError(
                    f"{self.config.model} has no factors, got {factor!r}; leave it out"
                )
            options["factor"] = factor
        partial = functools.partial
        logits: LogitsFn = partial(self.model.logits, mode=self.mode, **options)
        if self.mode == "sample" and isinstance(self.model, LatentClassifier):
            logits = LazyLogits(logits, partial(self.model.class_logits, **options))
        return ModelAccess(
            logits=logits,
            log_weights=partial(self.model.log_weights, mode=self.mode, **options),
            features=self.model.features,
        )

    def reseed(self, number: int) -> None:
        """Put the noise into a state that the victim's seed and the number give."""
        noise.reseed(self.model.generator, self.seed, number)

    def load_data(self, data_dir: str | None) -> datasets.Dataset:
        """The data set it was trained on."""
        return datasets.load(self.config.data, data_dir)


def find_run(name: str, data_name: str, runs: pathlib.Path) -> tuple[pathlib.Path, int]:
    """(run folder, K) of what a command line calls a victim or guard."""
    published = published_names.parse_victim(name)
    if published is not None:
        model, num_samples, dim_z = published
        return runs / data_name / run_name(model, dim_z), num_samples
    if fusion := published_names.parse_fusion_victim(name):
        model, num_samples, layer = fusion
        return _fusion_run(runs / data_name / run_name(model, None, layer), layer), num_samples
    if (pathlib.Path(name) / checkpoints.CONFIG).is_file():
        return pathlib.Path(name), DEFAULT_NUM_SAMPLES
    try:
        return runs / data_name / published_names.model_name(name), DEFAULT_NUM_SAMPLES
    except InputError:
        raise InputError(
            f"no run {name!r}: expected a run folder (with {checkpoints.CONFIG}), a model GFZ … "
            "GBY, MLP, CNN, BNN or A … G trained on --data, or a published name such as bayes_K10_A"
        ) from None


def _fusion_run(folder: pathlib.Path, layer: str) -> pathlib.Path:
    """A run on features of a VGG network, which has to be there."""
    if not (folder / checkpoints.CONFIG).is_file():
        raise InputError(
            f"no fusion model on the VGG features {layer!r}: expected its run folder {folder}; "
            "give a model of images, such as bayes_K10_A"
        )
    return folder


def run_name(model: str, dim_z: int | None, layer: str | None = None) -> str:
    """Folder name of a run: the model, z's size where it is not the published one, VGG layer."""
    parts = [model, f"Z{dim_z}" if dim_z is not None else None, layer]
    return "_".join(part for part in parts if part)
