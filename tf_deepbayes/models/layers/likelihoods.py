"""The likelihoods p(x|·): raw decoder output → a distribution over each pixel, in nats.

Every entry is a normalised distribution except `logistic_cdf` and `logit_l1`, whose published
expressions are not densities; they keep their names, and `discretised_logistic` and
`logit_laplace` are the correct versions. `offset` is log_prob minus the published expression, in
nats per pixel: a constant, so it changes neither p(y|x) nor a fitted detector.
"""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tf_deepbayes.core.axes import Distribution, Tensor
from tf_deepbayes.core.errors import InputError

tfd = tfp.distributions

# Published squeeze of pixels away from 0 and 1 before a logit: a = 0.01 + 0.98 x.
SQUEEZE_LOW, SQUEEZE_SPAN = 0.01, 0.98
BIN = 1.0 / 255.0


def squeeze(x: Tensor) -> Tensor:
    """a = 0.01 + 0.98 x, the published squeeze of [0, 1] before a logit."""
    return SQUEEZE_LOW + SQUEEZE_SPAN * x


def logit(a: Tensor) -> Tensor:
    """log(a / (1 - a))."""
    return tf.math.log(a) - tf.math.log1p(-a)


class PixelDistribution(Distribution):
    """A scalar distribution with parameters of one shape, defined by its log_prob alone."""

    def __init__(self, name: str, loc: Tensor, log_prob_fn: Callable[[Tensor], Tensor]):
        self.loc, self._log_prob_fn = loc, log_prob_fn
        super().__init__(
            dtype=loc.dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters={"loc": loc},
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):  # type: ignore[no-untyped-def]
        return {"loc": tfp.util.ParameterProperties()}

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _event_shape_tensor(self) -> Tensor:
        return tf.constant([], tf.int32)

    def _log_prob(self, value: Tensor) -> Tensor:
        return self._log_prob_fn(value)

    def _mean(self) -> Tensor:
        return self.loc


def _l2(raw_mean: Tensor) -> Distribution:
    return tfd.Normal(raw_mean, math.sqrt(0.5))


def _l1(mean: Tensor) -> Distribution:
    return tfd.Laplace(mean, 1.0)


def _bernoulli(logits: Tensor) -> Distribution:
    return tfd.Bernoulli(logits=logits, dtype=logits.dtype)


def _gaussian(mean: Tensor, log_scale: Tensor) -> Distribution:
    return tfd.Normal(mean, tf.exp(log_scale))


def _log_bin_mass(low: Tensor, high: Tensor) -> Tensor:
    """log(sigmoid(high) - sigmoid(low)), without cancellation."""
    return -tf.nn.softplus(-high) - tf.nn.softplus(low) + tfp.math.log1mexp(high - low)


def _logistic_cdf(mean: Tensor, log_scale: Tensor) -> Distribution:
    """log of the logistic mass of [b⌊x/b⌋, b⌊x/b⌋ + b), b = 1/255, as published.

    The float32 floor is one level too low for 120 of the 256 grey levels, and the masses of the
    levels 0 … 255 do not sum to one.
    """

    def log_prob(x: Tensor) -> Tensor:
        width = BIN * tf.exp(-log_scale)
        low = (tf.floor(x / BIN) * BIN - mean) * tf.exp(-log_scale)
        return _log_bin_mass(low, low + width)

    return PixelDistribution("LogisticCdf", mean, log_prob)


def _discretised_logistic(mean: Tensor, log_scale: Tensor) -> Distribution:
    """Logistic mass of the bin of the nearest grey level; the first and last bins are open."""

    def log_prob(x: Tensor) -> Tensor:
        level = tf.round(x * 255.0)
        low = (level * BIN - mean) * tf.exp(-log_scale)
        high = low + BIN * tf.exp(-log_scale)
        inner = _log_bin_mass(low, high)
        below_255 = tf.where(level <= 0.0, -tf.nn.softplus(-high), inner)
        return tf.where(level >= 255.0, -tf.nn.softplus(low), below_255)

    return PixelDistribution("DiscretisedLogistic", mean, log_prob)


def _logit_l1(location: Tensor) -> Distribution:
    """−|logit a − μ| + a(1 − a), a = 0.01 + 0.98 x, as published (not a density)."""

    def log_prob(x: Tensor) -> Tensor:
        a = squeeze(x)
        return -tf.abs(logit(a) - location) + a * (1.0 - a)

    return PixelDistribution("LogitL1", unsqueeze(location), log_prob)


def _logit_laplace(location: Tensor) -> Distribution:
    """The density of x when logit(0.01 + 0.98 x) ~ Laplace(μ, 1), Jacobian included."""

    def log_prob(x: Tensor) -> Tensor:
        a = squeeze(x)
        log_jacobian = math.log(SQUEEZE_SPAN) - tf.math.log(a) - tf.math.log1p(-a)
        return -tf.abs(logit(a) - location) - math.log(2.0) + log_jacobian

    return PixelDistribution("LogitLaplace", unsqueeze(location), log_prob)


def unsqueeze(raw: Tensor) -> Tensor:
    """The pixel whose squeezed logit is `raw`: (sigmoid(raw) − 0.01) / 0.98 within [0, 1]."""
    return tf.clip_by_value((tf.sigmoid(raw) - SQUEEZE_LOW) / SQUEEZE_SPAN, 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """One choice of p(x|·).

    Attributes:
        make: the parameters (one tensor, or mean and log scale) → distribution of each pixel.
        activation: "sigmoid" or "linear" for the mean; always linear for feature vectors.
            "logits" leaves the sigmoid to the distribution.
        num_parameters: decoder outputs per pixel channel; 2 are a mean and a log scale.
        offset: log_prob minus the published expression, nats per pixel.
        logit_inputs: x is replaced by logit(0.01 + 0.98 x) for encoder and likelihood alike (the
            published `*_logistic`); log densities are then those of the replaced x.
        needs_pixels: it only makes sense for values in [0, 1].
    """

    name: str
    make: Callable[..., Distribution]
    activation: str = "sigmoid"
    num_parameters: int = 1
    offset: float = 0.0
    logit_inputs: bool = False
    needs_pixels: bool = False

    def transform(self, x: Tensor) -> Tensor:
        """What encoder and likelihood see of x."""
        return logit(squeeze(x)) if self.logit_inputs else x

    def distribution(self, raw: Tensor, event_ndims: int) -> Distribution:
        """p(x|·) from raw decoder output `[..., H, W, channels · num_parameters]`.

        Feature vectors (`event_ndims` 1) have a linear mean.
        """
        mean, *rest = tf.split(raw, self.num_parameters, axis=-1)
        if self.activation == "sigmoid" and event_ndims == 3:
            mean = tf.sigmoid(mean)
        return tfd.Independent(self.make(mean, *rest), event_ndims)

    def picture(self, distribution: Distribution) -> Tensor:
        """The mean image in pixels."""
        mean = distribution.mean()
        return unsqueeze(mean) if self.logit_inputs else mean


_L2_OFFSET = -0.5 * math.log(math.pi)
_L1_OFFSET = -math.log(2.0)

LIKELIHOODS = {
    likelihood.name: likelihood
    for likelihood in (
        Likelihood("l2", _l2, offset=_L2_OFFSET),
        Likelihood("l1", _l1, offset=_L1_OFFSET),
        # From logits: the published clip at 1e-9 has no gradient where the sigmoid saturates.
        Likelihood("bernoulli", _bernoulli, "logits", needs_pixels=True),
        Likelihood("gaussian", _gaussian, num_parameters=2),
        Likelihood("logistic_cdf", _logistic_cdf, num_parameters=2, needs_pixels=True),
        Likelihood(
            "discretised_logistic", _discretised_logistic, num_parameters=2, needs_pixels=True
        ),
        Likelihood("logit_l1", _logit_l1, "linear", needs_pixels=True),
        Likelihood("logit_laplace", _logit_laplace, "linear", needs_pixels=True),
        Likelihood(
            "l2_logistic", _l2, "linear", offset=_L2_OFFSET, logit_inputs=True, needs_pixels=True
        ),
        Likelihood(
            "gaussian_logistic", _gaussian, "linear", 2, logit_inputs=True, needs_pixels=True
        ),
        Likelihood(
            "l1_logistic", _l1, "linear", offset=_L1_OFFSET, logit_inputs=True, needs_pixels=True
        ),
    )
}


def get(name: str) -> Likelihood:
    """The likelihood of that name; ValueError when there is none."""
    if name not in LIKELIHOODS:
        raise InputError(f"unknown likelihood {name!r}; choose one of {', '.join(LIKELIHOODS)}")
    return LIKELIHOODS[name]
