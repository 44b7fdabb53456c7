"""A linear-Gaussian GBY whose p(x, y) is known in closed form, through the library's own networks.

p(y) = 1/C, z|y ~ N(m_y, S²), x|z ~ N(A z + b, ½ I), so x|y ~ N(A m_y + b, A S² Aᵀ + ½ I). The ReLU
networks are made linear by carrying each value as relu(a) − relu(−a).
"""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.factorisations import GBY

X, C, H = 5, 3, 32


def linear_weights(matrix: np.ndarray, bias: np.ndarray, hidden_layers: int) -> list[np.ndarray]:
    """Weights of a ReLU network H wide that computes v @ matrix + bias."""
    size = matrix.shape[0]
    spread = np.zeros((size, H))
    spread[:, :size], spread[:, size : 2 * size] = np.eye(size), -np.eye(size)
    through = np.zeros((H, H))
    through[: 2 * size, : 2 * size] = np.eye(2 * size)
    last = np.zeros((H, matrix.shape[1]))
    last[:size], last[size : 2 * size] = matrix, -matrix
    layers = [spread] + [through] * (hidden_layers - 1) + [last]
    biases = [np.zeros(H)] * hidden_layers + [bias]
    return [w for layer in zip(layers, biases, strict=True) for w in layer]


class LinearGaussian:
    """The distribution, the library's classifier for it, and data drawn from it."""

    def __init__(self, dim_z: int) -> None:
        random = np.random.default_rng(0)
        self.dim_z, self.slope = dim_z, random.normal(size=(X, dim_z))
        self.offset = random.normal(size=X)
        self.means = random.normal(size=(C, dim_z))
        self.scales = random.uniform(0.7, 1.4, size=dim_z)
        self.y = random.integers(C, size=40)
        z = self.means[self.y] + self.scales * random.normal(size=(40, dim_z))
        x = z @ self.slope.T + self.offset + np.sqrt(0.5) * random.normal(size=(40, X))
        self.x = x.astype(np.float32)

    def log_joint(self) -> np.ndarray:
        """log p(x, y) `[B, C]` of the data."""
        covariance = self.slope @ np.diag(self.scales**2) @ self.slope.T + 0.5 * np.eye(X)
        means = self.means @ self.slope.T + self.offset
        densities = [multivariate_normal(mean, covariance).logpdf(self.x) for mean in means]
        return np.stack(densities, axis=1) - np.log(C)

    def classifier(self, widen: float) -> LatentClassifier:
        """GBY with q = N(mean of p(z|x,y), widen² · diagonal of its covariance)."""
        prior_precision = np.diag(1 / self.scales**2)
        covariance = np.linalg.inv(prior_precision + 2 * self.slope.T @ self.slope)
        gain, zeros = 2 * covariance @ self.slope.T, np.zeros((X + C, self.dim_z))
        q_mean = np.concatenate([gain.T, self.means @ prior_precision @ covariance])
        log_q = np.log(widen * np.sqrt(np.diag(covariance)))
        log_prior = np.tile(np.log(self.scales), (C, 1))
        prior = np.concatenate([self.means, log_prior], axis=1)
        weights = {
            "p_z_y": linear_weights(prior, np.zeros(2 * self.dim_z), 1),
            "p_x_z": linear_weights(self.slope.T, self.offset, 2),
            "q_z_xy": linear_weights(
                np.concatenate([q_mean, zeros], axis=1),
                np.concatenate([-gain @ self.offset, log_q]),
                2,
            ),
        }
        gby = GBY(Architecture((X,), C, self.dim_z, H, (), hidden_layers=2))
        for conditional in gby.conditionals():
            conditional.set_weights(weights[conditional.name])
        return gby


def test_many_samples_give_the_exact_logits() -> None:
    exact = LinearGaussian(dim_z=2)
    logits = exact.classifier(widen=1.2).logits(exact.x, num_samples=5000, seed=0)
    np.testing.assert_allclose(logits, exact.log_joint(), atol=0.15)
    assert np.abs(logits - exact.log_joint()).mean() < 0.02


def test_the_bound_rises_with_k_towards_the_truth_and_never_passes_it() -> None:
    exact = LinearGaussian(dim_z=2)
    gby = exact.classifier(widen=1.6)
    truth = exact.log_joint()[np.arange(40), exact.y].mean()
    means, errors = [], []
    for num_samples in (1, 2, 5, 20, 100, 1000):
        draws = [
            gby.bound(exact.x, exact.y, num_samples=num_samples, seed=seed).numpy().mean()
            for seed in range(20)
        ]
        means.append(np.mean(draws))
        errors.append(np.std(draws) / np.sqrt(len(draws)))
    for lower, higher, error in zip(means, means[1:], errors[1:], strict=False):
        assert higher > lower - 3 * error
    assert means[1] > means[0] + 3 * errors[0]
    assert all(m <= truth + 4 * e + 1e-3 for m, e in zip(means, errors, strict=True))
    assert means[-1] == pytest.approx(truth, abs=0.02)


def test_with_the_exact_posterior_every_weight_is_the_truth() -> None:
    """In one latent dimension the diagonal q is the posterior itself, so K = 1 is exact."""
    exact = LinearGaussian(dim_z=1)
    gby = exact.classifier(widen=1.0)
    logits = gby.logits(exact.x, num_samples=1, seed=0)
    np.testing.assert_allclose(logits, exact.log_joint(), rtol=1e-4)
    sizes = gby.effective_sample_size(exact.x, num_samples=10)
    np.testing.assert_allclose(sizes, 10.0, rtol=1e-3)
