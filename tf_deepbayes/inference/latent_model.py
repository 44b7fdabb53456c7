"""What inference asks of a latent-variable classifier; `LatentClassifier` has it all."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import Tensor, Terms

# (observed, one-hot y, loc, scale, z) → {factor: log density}
TermsFn: TypeAlias = Callable[..., Terms]


class LatentModel(Protocol):
    """A classifier with a latent z, as far as inference needs to know it.

    Attributes:
        q_z_xy: (observed x, one-hot y) → q(z|x,y), a normal distribution.
        terms_fn: computed in place of `terms` where it is not None, such as a compiled one.
    """

    architecture: Architecture
    q_z_xy: Any
    terms_fn: "TermsFn | None"

    def observe(self, x: Tensor) -> "Observed":
        """x with all that depends on it alone."""

    def terms(self, x: "Observed", y: Tensor, loc: Tensor, scale: Tensor, z: Tensor) -> Terms:
        """The log densities of one weight by factor, −log q(z|x,y) among them."""

    def log_weight(self, terms: Terms, beta: Tensor | float = 1.0) -> Tensor:
        """Their sum."""

    def bound_terms(self, x: Tensor, y: Tensor, noise: Tensor) -> Terms:
        """`terms` of samples of q at the label itself."""


class Observed(NamedTuple):
    """A batch of x with everything that depends on x alone.

    Attributes:
        pixels: `[B, *input_shape]`, transformed as the likelihood wants them.
        features: name of a conditional → its own features of x, `[B, size]`.
    """

    pixels: Tensor
    features: dict[str, Tensor]

    def images(self, start: Tensor, stop: Tensor) -> "Observed":
        """The images start … stop − 1."""
        return Observed(
            self.pixels[start:stop],
            {name: value[start:stop] for name, value in self.features.items()},
        )
