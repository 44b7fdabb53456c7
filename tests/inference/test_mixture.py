"""The mixture: every class's draws for all classes, against closed forms, float64 and blocks."""

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp
from scipy.stats import norm

from tests.exported import write_run
from tests.inference.test_input_gradient import assert_equal_per_image
from tests.inference.test_linear_gaussian import LinearGaussian
from tests.rounding import assert_close
from tests.small import VECTORS, classifier, images, noise_for
from tf_deepbayes.attacks import losses
from tf_deepbayes.core.axes import Tensor, logits_of
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.inference.noise import SCHEMES
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.runs.run import Run

MIXTURES = [name for name, scheme in SCHEMES.items() if scheme.mixture]
MODELS = ("DFZ", "DFX", "DBX", "GBZ", "GBY")
C, DIM_Z = VECTORS.num_classes, VECTORS.dim_z
X = images(4, shape=VECTORS.input_shape)


def network(layer: Any, *inputs: np.ndarray) -> np.ndarray:
    """A dense ReLU network on the concatenated inputs, in float64."""
    value = np.concatenate(inputs)
    weights = [w.astype(np.float64) for w in layer.get_weights()]
    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    for kernel, bias in pairs[:-1]:
        value = np.maximum(value @ kernel + bias, 0.0)
    return value @ pairs[-1][0] + pairs[-1][1]


def normal(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of a network's normal distribution."""
    return raw[:DIM_Z], np.exp(raw[DIM_Z:])


def log_softmax(raw: np.ndarray) -> np.ndarray:
    return raw - logsumexp(raw)


def log_joints(model: LatentClassifier, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """log p(x, z, y_c) of each class `[C]`, by the formulas of the paper."""
    one_hot, total = np.eye(C), np.zeros(C)
    factors = model.factors
    if "p_z_x" in factors:
        total += norm.logpdf(z, *normal(network(model.p_z_x, x))).sum()
    elif "p_z_y" in factors:
        own = [normal(network(model.p_z_y, y)) for y in one_hot]
        total += [norm.logpdf(z, *p).sum() - np.log(C) for p in own]
    else:
        total += norm.logpdf(z).sum()
    if "p_x_z" in factors:
        total += norm.logpdf(x, network(model.p_x_z, z), np.sqrt(0.5)).sum()
    if "p_y_z" in factors:
        total += log_softmax(network(model.p_y_z, z))
    if "p_y_zx" in factors:
        total += log_softmax(network(model.p_y_zx, x, z))
    return total


def logits64(model: LatentClassifier, x: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The definition, point by point: x `[features]`, noise `[K, C, dim_z]` → `[C]`."""
    q = [normal(network(model.q_z_xy, x, y)) for y in np.eye(C)]
    log_w = []
    for sample in noise.astype(np.float64):
        for own, (loc, scale) in enumerate(q):
            z = loc + scale * sample[own]
            log_q = [norm.logpdf(z, *other).sum() for other in q]
            log_w.append(log_joints(model, x, z) - logsumexp(log_q) + np.log(C))
    return logsumexp(log_w, axis=0) - np.log(len(log_w))


@pytest.mark.parametrize("name", MODELS)
def test_value_and_gradient_are_those_of_the_formula_in_float64(name: str) -> None:
    model, noise = classifier(name, VECTORS), noise_for(classifier(name, VECTORS), 3, len(X))
    x, step = tf.constant(X), 1e-6
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model.logits(x, noise, scheme="mixture")
        loss = losses.get("log_odds")(tf.constant([0, 1, 2, 1]), logits)
    gradient = tape.gradient(loss, x).numpy()
    for image, label in enumerate([0, 1, 2, 1]):
        own = X[image].astype(np.float64)

        def logits_at(x: np.ndarray, image: int = image) -> np.ndarray:
            return logits64(model, x, noise[:, :, image])

        def odds(x: np.ndarray, label: int = label) -> float:
            values = logits_at(x)
            return logsumexp(np.delete(values, label)) - values[label]

        np.testing.assert_allclose(logits[image], logits_at(own), rtol=2e-5, atol=1e-4)
        ahead, behind = (
            np.array([odds(own + sign * step * row) for row in np.eye(6)]) for sign in (1, -1)
        )
        slope = (ahead - behind) / (2 * step)
        assert np.abs(slope).max() > 0.01
        assert_close(gradient[image], slope, 1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_it_agrees_with_many_published_draws(name: str) -> None:
    """p̂(x, y) of both at K = 10,000, within five standard errors over images of the same x."""
    model, copies = classifier(name, VECTORS), 40
    model.block_size = 50_000
    found = {}
    for scheme in ("independent", "mixture"):
        logits = model.logits(np.tile(X, (copies, 1)), num_samples=250, seed=3, scheme=scheme)
        found[scheme] = logits.numpy().astype(np.float64).reshape(copies, len(X), C)
    best = found["independent"].max(0)
    ratios = {scheme: np.exp(logits - best) for scheme, logits in found.items()}
    published, mixture = (r.mean(0) for r in ratios.values())
    errors = [r.std(0, ddof=1) / np.sqrt(copies) for r in ratios.values()]
    assert (np.abs(mixture - published) < 5 * np.hypot(*errors)).all()
    assert (errors[1] < 0.2 * mixture).all()


@pytest.mark.parametrize("scheme", MIXTURES)
def test_it_narrows_the_estimate_and_the_difference_of_classes(scheme: str) -> None:
    exact = LinearGaussian(dim_z=2)
    gby, x = exact.classifier(widen=1.2), np.tile(exact.x[:8], (200, 1))
    spread = {}
    for own in ("independent", scheme):
        logits = gby.logits(x, num_samples=4, seed=1, scheme=own).numpy().reshape(200, 8, 3)
        difference = (logits[:, :, 1:] - logits[:, :, :1]).std(0).mean()
        spread[own] = np.array([logits.std(0).mean(), difference])
    assert (spread[scheme] < [0.8, 0.5] * spread["independent"]).all(), spread


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("saves", [True, False], ids=["saved", "decoded_again"])
def test_blocks_change_nothing(name: str, saves: bool) -> None:
    model, x = classifier(name), tf.constant(images(5))

    def run(block_size: int) -> tuple[np.ndarray, np.ndarray]:
        model.block_size = block_size
        with tf.GradientTape() as tape:
            tape.watch(x)
            options: dict[str, Any] = {"num_samples": 4, "scheme": "mixture", "seed": 2}
            logits = model.logits(x, save_activations=saves, **options)
            loss = losses.get("log_odds")(tf.constant([0, 1, 2, 1, 0]), logits)
        return logits.numpy(), tape.gradient(loss, x).numpy()

    whole = run(10_000)
    for block_size in (1, 7, 40):
        logits, gradient = run(block_size)
        np.testing.assert_allclose(logits, whole[0], rtol=1e-6, atol=1e-5)
        assert_equal_per_image(gradient, whole[1])


@pytest.mark.parametrize("scheme", MIXTURES)
def test_log_weights_snapshots_and_effective_sample_size(scheme: str) -> None:
    model, options = classifier("GBZ", VECTORS), {"num_samples": 5, "scheme": scheme, "seed": 1}
    log_w = model.log_weights(X, **options)  # type: ignore[arg-type]
    assert log_w.shape == (5 * C, C, len(X))
    logits = model.logits(X, **options)  # type: ignore[arg-type]
    snapshots = model.snapshots(X, **options)  # type: ignore[arg-type]
    assert_close(logits_of(snapshots), logits, 1e-6)
    own = logsumexp(log_w[2 * C : 3 * C], axis=0) - np.log(C)
    assert_close(snapshots[2], own, 1e-6)
    sizes = model.effective_sample_size(X, **options).numpy()  # type: ignore[arg-type]
    weights = np.exp(log_w - np.max(log_w, 0))
    expected = weights.sum(0) ** 2 / (weights**2).sum(0)
    np.testing.assert_allclose(sizes, expected.T, rtol=1e-4)
    assert (sizes <= 5 * C).all() and sizes.max() > 1
    np.testing.assert_array_equal(model.snapshots(X, seed=1), model.log_weights(X, seed=1))


def test_some_classes_are_those_whose_draws_are_mixed() -> None:
    """Two classes of a model of three: the formula with the two alone."""
    model, options = classifier("GBZ", VECTORS), {"num_samples": 3, "scheme": "mixture", "seed": 1}
    every = np.ones([len(X), C], bool)
    some = model.class_logits(X, every, **options)  # type: ignore[arg-type]
    assert_close(some, model.logits(X, **options), 1e-6)  # type: ignore[arg-type]
    every[1:, 1] = False
    some = model.class_logits(X, every, **options).numpy()  # type: ignore[arg-type]
    log_w = model.log_weights(X, **options).numpy().reshape(3, C, C, -1)  # type: ignore[arg-type]
    noise = model.log_weights(X, factor="p(y|z)", **options)  # type: ignore[arg-type]
    assert noise.shape == (3 * C, C, len(X)) and (some[1:, 1] < -1e29).all()
    # Where q(z|x, y_1) is far from a point, leaving it out of the mixture changes C to 2 alone.
    assert (some[1:, [0, 2]] <= logsumexp(log_w, axis=(0, 1)).T[1:, [0, 2]]).all()
    many = {**options, "num_samples": 4000}
    np.testing.assert_allclose(
        model.class_logits(X, every, **many).numpy()[every],  # type: ignore[arg-type]
        model.logits(X, **many).numpy()[every],  # type: ignore[arg-type]
        atol=0.3,
    )


@pytest.mark.parametrize("name", ["GFZ", "GFY"])
def test_where_the_decoder_needs_the_class_it_is_refused(name: str, tmp_path: pathlib.Path) -> None:
    model = classifier(name, VECTORS)
    for function in (model.logits, model.effective_sample_size, model.snapshots):
        with pytest.raises(InputError, match=rf"noise mixture .* {name} decodes with the class"):
            function(X, scheme="mixture")
    with pytest.raises(InputError, match="use noise shared"):
        model.class_logits(X, np.ones([4, C], bool), scheme="mixture+qmc")
    write_run(tmp_path / name, fitted=False)
    with pytest.raises(InputError, match="use noise shared"):
        Run.load(tmp_path / name, Sampling(3, scheme="mixture"))


def test_classes_far_below_do_not_disturb_the_gradient() -> None:
    """A class whose q lies far away has log q of −1e4 at the others' points."""
    model = classifier("GBY", VECTORS)
    kernel, *others = model.q_z_xy.get_weights()
    kernel[len(X[0])] += 40.0
    model.q_z_xy.set_weights([kernel, *others])
    x: Tensor = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model.logits(x, num_samples=3, seed=0, scheme="mixture")
    assert np.isfinite(logits).all() and np.isfinite(tape.gradient(logits, x)).all()
