"""A classifier of images on the features of a frozen network: a fusion model of Li et al. 2019."""

from __future__ import annotations

from typing import Any

from tf_deepbayes.core.architecture import CIFAR, Architecture
from tf_deepbayes.core.axes import Array, ArrayLike, Tensor, logits_of
from tf_deepbayes.core.validation import check_inputs
from tf_deepbayes.inference.sampling import Raced, Sampling
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.fusion.extractor import Extractor
from tf_deepbayes.models.fusion.network import arrays_of


class FusionClassifier:
    """p(y|x) = p(y|f(x)) of a deep Bayes classifier of features f and an extractor of them.

    It answers as the classifier of features does, from pixels. The extractor runs once in each
    call, never for each class or sample; gradients with respect to x go through both.

    Args:
        latent: the classifier of features.
        extractor: gives them; its arrays never change.

    Attributes:
        architecture: the sizes of `latent`, with the shape of the images.
    """

    is_random = True

    def __init__(self, latent: LatentClassifier, extractor: Extractor) -> None:
        self.latent, self.extractor = latent, extractor
        sizes = latent.architecture
        self.architecture: Architecture = CIFAR.replace(
            input_shape=extractor.image_shape,
            num_classes=sizes.num_classes,
            **{"dim_z": sizes.dim_z, "dim_h": sizes.dim_h},
        )
        self.has_p_x, self.makes_images = latent.has_p_x, latent.makes_images
        self.label_factor, self.factors = latent.label_factor, latent.factors
        self.generator, self.seed = latent.generator, latent.seed
        self.published_offset = latent.published_offset

    @property
    def block_size(self) -> int:
        """Terms (sample, class, image) evaluated at a time."""
        return self.latent.block_size

    @block_size.setter
    def block_size(self, value: int) -> None:
        self.latent.block_size = value

    @property
    def weights(self) -> list[Any]:
        """The variables of the classifier of features, then those of the extractor."""
        return [*self.latent.weights, *self.extractor.network.variables]

    def get_weights(self) -> list[Array]:
        """The arrays of `weights`."""
        return [*self.latent.get_weights(), *arrays_of(self.extractor.network)]

    def check_scheme(self, scheme: str) -> None:
        """See `LatentClassifier.check_scheme`."""
        self.latent.check_scheme(scheme)

    def features(self, x: ArrayLike) -> Tensor:
        """f(x): images `[B, H, W, channels]` → `[B, |f|]`, flattened row by row."""
        return self.extractor(check_inputs(x, self.architecture.input_shape))

    def log_weights(self, x: ArrayLike, *arguments: Any, **options: Any) -> Tensor:
        """See `LatentClassifier.log_weights`; x are images."""
        return self.latent.log_weights(self.features(x), *arguments, **options)

    def fixed_log_weights(self, x: ArrayLike, *arguments: Any, **options: Any) -> Tensor:
        """See `LatentClassifier.fixed_log_weights`."""
        return self.latent.fixed_log_weights(self.features(x), *arguments, **options)

    def snapshots(self, x: ArrayLike, *arguments: Any, **options: Any) -> Tensor:
        """See `LatentClassifier.snapshots`."""
        return self.latent.snapshots(self.features(x), *arguments, **options)

    def logits(self, x: ArrayLike, *arguments: Any, **options: Any) -> Tensor:
        """See `LatentClassifier.logits`: `[B, C]`, nats."""
        return logits_of(self.log_weights(x, *arguments, **options))

    def __call__(self, x: Tensor) -> Tensor:
        """`logits(x)` with K = 10 fresh samples."""
        return self.logits(x)

    def class_logits(self, x: ArrayLike, wanted: ArrayLike, *rest: Any, **options: Any) -> Tensor:
        """See `LatentClassifier.class_logits`."""
        return self.latent.class_logits(self.features(x), wanted, *rest, **options)

    def raced_logits(
        self, x: ArrayLike, sampling: Sampling | int | None = None, **options: Any
    ) -> Raced:
        """See `LatentClassifier.raced_logits`."""
        return self.latent.raced_logits(self.features(x), sampling, **options)

    def label_logits(self, x: ArrayLike, y: ArrayLike, *rest: Any, **options: Any) -> Tensor:
        """See `LatentVariableModel.label_logits`."""
        return self.latent.label_logits(self.features(x), y, *rest, **options)

    def bound(self, x: ArrayLike, y: ArrayLike, *rest: Any, **options: Any) -> Tensor:
        """See `LatentVariableModel.bound`; of log p(f(x), y)."""
        return self.latent.bound(self.features(x), y, *rest, **options)

    def effective_sample_size(self, x: ArrayLike, *arguments: Any, **options: Any) -> Tensor:
        """See `LatentClassifier.effective_sample_size`."""
        return self.latent.effective_sample_size(self.features(x), *arguments, **options)


def latent_of(model: Any) -> Any:
    """The classifier of features inside a fusion model; any other model as it is."""
    return model.latent if isinstance(model, FusionClassifier) else model
