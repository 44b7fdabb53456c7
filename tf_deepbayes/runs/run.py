"""A trained classifier as named on the command line: its run folder, its logits, its data."""

import contextlib
import dataclasses
import functools
import pathlib
from typing import Any

from tf_deepbayes.attacks.access import LazyLogits, ModelAccess, check_classifier
from tf_deepbayes.core.axes import ArrayLike, LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import PathLike, named
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.data import datasets
from tf_deepbayes.data.origins import load_again
from tf_deepbayes.inference import noise
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.models.fusion.classifier import latent_of
from tf_deepbayes.models.keras_classifier import KerasClassifier, read_keras
from tf_deepbayes.models.registry import Classifier
from tf_deepbayes.models.xla import compile_terms
from tf_deepbayes.robustness.decomposition.noise_control import NoiseControl
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.naming.folders import find_run, only_data

MIXTURE = "mixture"  # the noise scheme whose draws serve all classes, steady at few draws


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained classifier and how it is sampled.

    Attributes:
        folder: its run folder, which has a name.
        sampling: how it samples to predict. The seed starts the noise of the whole run: each call
            continues from there.
        logits_fn: `[B, …]` → `[B, C]` with fresh noise in each call; one function, one trace.
    """

    folder: pathlib.Path
    config: checkpoints.RunConfig
    model: Classifier
    sampling: Sampling
    logits_fn: LogitsFn = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", named(self.folder))
        if getattr(self.model, "factors", ()):  # a person's own network has none
            self.model.check_scheme(self.sampling.scheme)
        elif self.sampling.race is not None:
            raise InputError(f"{self.config.model} draws no z for each class; leave race out")
        fresh = dataclasses.replace(self.sampling, seed=None)
        object.__setattr__(self, "logits_fn", functools.partial(self.model.logits, sampling=fresh))

    @classmethod
    def load(
        cls,
        folder: PathLike,
        sampling: Sampling | None = None,
        block_size: int | None = None,
        jit_compile: bool = False,
    ) -> "Run":
        """The classifier of a run folder.

        Args:
            sampling: how it samples to predict; None: K = 10 from seed 0.
            block_size: terms decoded at a time; None: the model's own.
            jit_compile: compile it with XLA, see `models.xla`.
        """
        model, config = checkpoints.load_model(folder)
        if block_size is not None:
            model.block_size = check_count("block_size", block_size)
        if jit_compile:
            compile_terms(latent_of(model))
        run = cls(pathlib.Path(folder), config, model, sampling or Sampling())
        run.restart()
        return run

    @property
    def seed(self) -> int:
        """The seed that starts the noise."""
        return int(self.sampling.seed or 0)

    @property
    def recorded_scheme(self) -> str | None:
        """The kind of draws as results record it: None for the published, as in older results."""
        recorded = self.sampling.noise
        return None if recorded == noise.INDEPENDENT else recorded

    def logits(self, x: ArrayLike) -> Tensor:
        """Logits `[B, C]` of images `[B, …]`, with fresh noise in each call."""
        return self.logits_fn(x)

    def access(
        self,
        num_samples: int | None = None,
        factor: str | None = None,
        common_random_numbers: bool = False,
    ) -> ModelAccess:
        """What an attack sees of it.

        Args:
            num_samples: K that the attack uses; None: as for prediction.
            factor: only this factor of the joint density, such as "p(y|z)".
            common_random_numbers: the same noise in every step instead of fresh noise.
        """
        sampling = self._attack_sampling(num_samples, common_random_numbers)
        options: dict[str, Any] = {"sampling": sampling}
        if factor is not None:
            if not self.model.factors:
                raise InputError(
                    f"{self.config.model} has no factors, got {factor!r}; leave it out"
                )
            options["factor"] = factor
        partial = functools.partial
        logits: LogitsFn = partial(self.model.logits, **options)
        if self.model.factors and sampling.mode == "sample":
            some = partial(self.model.class_logits, **options)
            logits = LazyLogits(logits, some, races=sampling.race is not None)
        own = self.model.snapshots if self.model.factors else self.model.log_weights
        log_weights = partial(own, **options)
        label_logits = None
        if hasattr(self.model, "label_logits"):
            count = {} if num_samples is None else {"num_samples": num_samples}
            label_logits = partial(self.model.label_logits, **count, seed=sampling.seed)
        return ModelAccess(logits, log_weights, self.model.features, label_logits)

    def _attack_sampling(self, num_samples: int | None, common_random_numbers: bool) -> Sampling:
        count = self.sampling.num_samples
        if num_samples is not None:
            count = check_count("attack_samples", num_samples)
        seed = self.seed if common_random_numbers else None
        return dataclasses.replace(self.sampling, num_samples=count, seed=seed)

    @property
    def samples(self) -> bool:
        """Whether its logits differ from call to call."""
        return bool(self.model.is_random and self.sampling.mode == "sample")

    def noise_control(self, limit_samples: int = 1000) -> NoiseControl | None:
        """Its noise in the hand, to take its robustness apart; None if it does not sample.

        Args:
            limit_samples: K that stands for infinitely many draws where no mixture applies.
        """
        if not self.samples:
            return None
        count, limit = self.sampling.num_samples, dataclasses.replace(self.sampling, seed=None)
        limit = dataclasses.replace(limit, race=None, num_samples=limit_samples)
        said, cost = f"K = {limit_samples}", limit_samples / count
        with contextlib.suppress(InputError):  # of a decoder that needs the class
            if self.model.factors:
                self.model.check_scheme(MIXTURE)
                limit = dataclasses.replace(limit, scheme=MIXTURE, num_samples=count)
                said, cost = f"a mixture of K = {count}", 1.0

        def known(seed: int) -> LogitsFn:
            fixed = dataclasses.replace(self.sampling, seed=seed)
            return functools.partial(self.model.logits, sampling=fixed)

        logits_fn = functools.partial(self.model.logits, sampling=limit)
        with_samples = functools.cache(lambda k: self.access(num_samples=k))
        return NoiseControl(with_samples, logits_fn, known, count, said, cost)

    def restart(self) -> None:
        """Set the noise to that of a run just loaded."""
        self.model.generator.reset_from_seed(self.seed)

    def reseed(self, number: int) -> None:
        """Set the noise to a state determined by the run's seed and the number."""
        noise.reseed(self.model.generator, self.seed, number)

    def load_data(self, data_dir: str | None = None) -> datasets.Dataset:
        """The data set it was trained on.

        Args:
            data_dir: folder of a known data set, the only one searched, or the path of own data
                that has moved; None: the usual places.
        """
        found = load_again(self.config.data, self.config.training, data_dir)
        if self.config.is_foreign:
            _check_fits(self.config, found)
        return found


def load_run(
    name: PathLike,
    data: str | None = None,
    runs: PathLike = "runs",
    sampling: Sampling | None = None,
) -> Run:
    """A trained classifier.

    Args:
        name: a run folder; an entry of the zoo, such as zoo/mnist/GBZ, which is first unpacked into
            `<runs>/zoo/<data>/<model>`; GFZ … GBY, MLP, CNN, BNN, A … G; or a published name such
            as bayes_K10_Z32_A, bnn_K10 and fea_K10_F_mid.
        data: name of the data set, if `name` is not a folder; None: the only one with such a run.
        runs: folder of all runs, with `<data>/<model>` in it.
        sampling: how it samples to predict; None: K = 10, or the K in the published name.

    Raises:
        InputError: there is no such run, or it or the entry is damaged.
    """
    runs = pathlib.Path(runs)
    data = data or only_data(str(name), runs)
    folder, num_samples = find_run(str(name), data, runs)
    return Run.load(folder, sampling or Sampling(num_samples))


def keras_run(
    path: PathLike, data: str, runs: PathLike, outputs: str = "logits", seed: int = 0
) -> Run:
    """A person's own Keras classifier as a run, whose results are in `runs/<data>/<file's stem>`.

    Args:
        path: a .keras or .h5 file.
        data: name of the data set it is attacked on.
        outputs: "logits", or "probabilities" of a softmax model.

    Raises:
        InputError: it cannot be loaded, or does not answer as `outputs` says.
    """
    path, runs = pathlib.Path(path), pathlib.Path(runs)
    model = read_keras(path)
    own = KerasClassifier(model, ModelAccess.of(model, outputs).logits)
    check_classifier(model, own.examples(), own.architecture.num_classes, outputs)
    training = {"kind": checkpoints.FOREIGN, "outputs": outputs}
    config = checkpoints.RunConfig(path.stem, data, own.architecture, None, seed, training)
    return Run(runs / data / path.stem, config, own, Sampling(1, seed=seed))  # type: ignore[arg-type]


def _check_fits(config: checkpoints.RunConfig, data: datasets.Dataset) -> None:
    """InputError unless a person's own classifier is for these images."""
    own, other = config.architecture, data.train.images.shape[1:]
    num_classes = int(max(split.labels.max() for split in (data.train, data.test))) + 1
    if own.input_shape != other or own.num_classes < num_classes:
        raise InputError(
            f"{config.model} takes x {list(own.input_shape)} and has {own.num_classes} outputs; "
            f"{data.name} has images {list(other)} of {num_classes} classes; give --data"
        )


def load_model(folder: PathLike) -> Classifier:
    """The classifier of a run folder."""
    return checkpoints.load_model(folder)[0]
