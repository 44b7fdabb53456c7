"""The plain classifiers that deep Bayes classifiers are compared with (Li et al. 2019, section 5).

The published code does not contain them. Their networks are those of their `Architecture`: its
convolutions and hidden layers of size dim_h. The paper's text gives the sizes of its BNN, see
`BNN.published_sizes`; an MLP or CNN has those of the deep Bayes networks.
"""

import abc
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import ArrayLike, Tensor, logits_of
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_inputs
from tf_deepbayes.inference.noise import INDEPENDENT, next_seeds
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.models.keras_model import ClassifierModel, with_own_settings
from tf_deepbayes.models.layers.conditionals import seeds_from
from tf_deepbayes.models.layers.dropout import DropoutStack
from tf_deepbayes.models.layers.networks import Seeds, convolutions

BNN_UNITS, BNN_LAYERS, BNN_DROPOUT = 1000, 2, 0.3  # Li et al. 2019, appendix D
MODES = ("sample", "mean")  # a subset of the modes of `Sampling`


class Baseline(ClassifierModel, abc.ABC):
    """A classifier p(y|x) = softmax(logits(x)) of images, without a density of x.

    Args:
        architecture: sizes of the networks, for images (dim_z is not used; hidden_layers and
            dropout by BNN alone).
        seed: seed of the initial weights and of the dropout masks.

    Raises:
        InputError: the architecture is for feature vectors.
    """

    has_p_x = makes_images = False
    label_factor: str | None = None
    factors: tuple[str, ...] = ()

    @with_own_settings
    def __init__(self, architecture: Architecture, seed: int = 0) -> None:
        name = type(self).__name__
        super().__init__(name=name.lower(), dtype="float32")
        if not architecture.is_image:
            raise InputError(
                f"{name} is for images, the architecture has input shape "
                f"{architecture.input_shape}; give one with (H, W, channels)"
            )
        self.architecture, self.seed = architecture, seed
        layer_seeds = seeds_from(seed)
        self.features = keras.Sequential(self.feature_layers(layer_seeds), name="features")
        sizes = [architecture.dim_h] * self.num_hidden + [architecture.num_classes]
        size = self.features.output_shape[-1]
        self.head = DropoutStack(size, sizes, self.dropout_rate, layer_seeds)
        self.generator = tf.random.Generator.from_seed(seed)
        self.built = True
        x = tf.TensorSpec([None, *architecture.input_shape], tf.float32)
        noise = [tf.TensorSpec([2], tf.int64), tf.TensorSpec([], tf.int32)]
        self._mean = tf.function(self.one_pass, input_signature=[x], autograph=False)
        self._samples = tf.function(self._passes, input_signature=[x, *noise], autograph=False)

    @classmethod
    def published_sizes(cls, architecture: Architecture) -> Architecture:
        """The sizes it is trained with on data for which deep Bayes networks have these sizes."""
        return architecture

    @property
    @abc.abstractmethod
    def num_hidden(self) -> int:
        """Hidden layers of `dim_h` units after the features."""

    @property
    def dropout_rate(self) -> float:
        """Share of each dense layer's inputs that a mask sets to zero."""
        return 0.0

    @property
    def is_random(self) -> bool:
        """Whether its logits depend on dropout masks."""
        return self.dropout_rate > 0

    @abc.abstractmethod
    def feature_layers(self, seeds: Seeds) -> list[keras.layers.Layer]:
        """x `[B, H, W, channels]` → `[B, size]`: the part computed once per image."""

    def one_pass(self, x: Tensor, seeds: Tensor | None = None) -> Tensor:
        """Logits `[B, C]` with one set of dropout masks, or without dropout if no seeds `[2]`."""
        return self.head(self.features(x), seeds)

    def masked_pass(self, x: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """Logits `[B, C]` with the given masks of the head, see `DropoutStack.masked`."""
        return self.head.masked(self.features(x), masks)

    def log_weights(
        self,
        x: ArrayLike,
        sampling: Sampling | int | None = None,
        **options: Any,
    ) -> Tensor:
        """The logits of each of K passes (the "snapshot" logits).

        Args:
            x: `[B, H, W, channels]`, pixels in [0, 1].
            sampling: how masks are drawn; its fields may also be given as keywords. "sample" draws
                masks for every pass and image (without dropout, all passes are equal and one is
                made), "mean" turns dropout off, K = 1; the scheme is the published one.

        Returns:
            `[K, C, B]`; with masks they are normalised, log p(y_c|x, masks_k), so that `logits` is
            their log-mean-exp over k, as for deep Bayes classifiers.
        """
        x = check_inputs(x, self.architecture.input_shape)
        sampling = Sampling.of(sampling, **options)
        self._check_scheme(sampling.scheme)
        if sampling.mode not in MODES:
            name, modes = type(self).__name__, ", ".join(MODES)
            raise InputError(f"mode of a {name} must be one of {modes}, got {sampling.mode!r}")
        if x.shape[0] == 0:
            return tf.zeros([sampling.num_samples, self.architecture.num_classes, 0])
        if not self.dropout_rate or sampling.mode == "mean":
            return tf.transpose(self._mean(x))[None]
        return self._samples(x, self._seeds(sampling.seed), tf.constant(sampling.num_samples))

    def fixed_log_weights(
        self, x: ArrayLike, num_samples: int = 10, seed: int = 0, scheme: str = INDEPENDENT
    ) -> Tensor:
        """`log_weights` with the same masks for every image and call: K fixed networks."""
        self._check_scheme(scheme)
        if not self.dropout_rate:
            return self.log_weights(x)
        features = self.features(check_inputs(x, self.architecture.input_shape))

        def one(masks: Sequence[Tensor]) -> Tensor:
            return tf.transpose(tf.nn.log_softmax(self.head.masked(features, masks)))

        masks = self.head.fixed_masks(check_count("num_samples", num_samples), seed)
        spec = tf.TensorSpec([self.architecture.num_classes, features.shape[0]])
        return tf.map_fn(one, masks, fn_output_signature=spec, parallel_iterations=1)

    def logits(
        self, x: ArrayLike, sampling: Sampling | int | None = None, **options: Any
    ) -> Tensor:
        """Logits `[B, C]`; with dropout, log mean_k softmax over K passes of `log_weights`."""
        return logits_of(self.log_weights(x, sampling, **options))

    def call(self, x: Tensor) -> Tensor:
        """`logits(x)`; with dropout, from K = 10 fresh passes."""
        return self.logits(x)

    def _passes(self, x: Tensor, seeds: Tensor, num_samples: Tensor) -> Tensor:
        """The masks of pass k depend on the seeds and k alone; the passes run one by one."""
        features = self.features(x)

        def one(k: Tensor) -> Tensor:
            logits = self.head(features, tf.random.experimental.stateless_fold_in(seeds, k))
            return tf.transpose(tf.nn.log_softmax(logits))

        spec = tf.TensorSpec([self.architecture.num_classes, x.shape[0]])
        return tf.map_fn(
            one, tf.range(num_samples), fn_output_signature=spec, parallel_iterations=1
        )

    def _check_scheme(self, scheme: str) -> None:
        if self.dropout_rate and scheme != INDEPENDENT:
            raise InputError(
                f"noise {scheme} is for draws of z, and {type(self).__name__} draws dropout masks; "
                "leave it out"
            )

    def _seeds(self, seed: int | Tensor | None) -> Tensor:
        return next_seeds(self.generator, seed, self.seed)


class MLP(Baseline):
    """x → dim_h → dim_h → C, with ReLUs in between."""

    num_hidden = 2

    def feature_layers(self, seeds: Seeds) -> list[keras.layers.Layer]:
        return [keras.Input(self.architecture.input_shape), keras.layers.Flatten()]


class CNN(Baseline):
    """x → the convolutions of features(x) → dim_h → C, with ReLUs in between."""

    num_hidden = 1

    def feature_layers(self, seeds: Seeds) -> list[keras.layers.Layer]:
        return convolutions(self.architecture, seeds)


class BNN(Baseline):
    """A CNN with dropout at prediction: p(y|x) = E_masks p(y|x, masks).

    An approximate posterior over the weights of the dense layers (Gal & Ghahramani 2016), with
    dropout as in the convolutional network of Li & Gal 2017. Rate and number of hidden layers are
    the architecture's; no weight decay.
    """

    @classmethod
    def published_sizes(cls, architecture: Architecture) -> Architecture:
        """Twice the channels, two hidden layers of 1000, dropout 0.3 (Li et al. 2019, appendix D).

        Those of MNIST are 128, 128, 128 channels, those of colour images 128, 256, 512.
        """
        return architecture.replace(
            channels=tuple(2 * channels for channels in architecture.channels),
            dim_h=BNN_UNITS,
            hidden_layers=BNN_LAYERS,
            dropout=BNN_DROPOUT,
        )

    @property
    def num_hidden(self) -> int:
        """See `Baseline.num_hidden`."""
        return self.architecture.hidden_layers

    @property
    def dropout_rate(self) -> float:
        """See `Baseline.dropout_rate`."""
        return self.architecture.dropout

    def feature_layers(self, seeds: Seeds) -> list[keras.layers.Layer]:
        return convolutions(self.architecture, seeds)


BASELINES: dict[str, type[Baseline]] = {cls.__name__: cls for cls in (MLP, CNN, BNN)}
