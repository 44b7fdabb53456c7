"""Properties that hold for every factorisation."""

import re

import numpy as np
import pytest
import tensorflow as tf

from tests.rounding import assert_close
from tests.small import IMAGES, VECTORS, classifier, images, noise_for
from tf_deepbayes.inference.latent_model import Observed
from tf_deepbayes.legacy import published_names
from tf_deepbayes.models import factorisations
from tf_deepbayes.models.factorisations import FACTORISATIONS

NAMES = list(FACTORISATIONS)
# Factors that are fixed functions, not learned conditionals.
FIXED = {"p(z)", "p(y)", "p(x)"}


def attribute(factor: str) -> str:
    """p(x|z,y) → p_x_zy."""
    return re.sub(r"[(|]", "_", factor).replace(",", "").rstrip(")")


@pytest.mark.parametrize("name", NAMES)
def test_docstring_names_exactly_the_factors(name: str) -> None:
    model = classifier(name)
    formula = (type(model).__doc__ or "").split("=")[1].strip(" .\n")
    x = model.observe(tf.constant(images(2)))
    y, z = tf.eye(3)[:2][None], tf.zeros([1, 1, 2, 4])
    assert formula.split() == list(model.log_joint(x, y, z))
    learned = {attribute(factor) for factor in formula.split() if factor not in FIXED}
    assert learned == {c.name for c in model.conditionals()} - {"q_z_xy"}


@pytest.mark.parametrize("name", NAMES)
def test_bottleneck_models_hold_x_and_y_apart_given_z(name: str) -> None:
    """The mixed difference of log p(x, z, y) in x and y is zero exactly when x ⟂ y | z."""
    model = classifier(name)
    z = tf.constant(noise_for(model, 1, 1)[:, :1])

    def log_joint(seed: int, label: int) -> float:
        x: Observed = model.observe(tf.constant(images(1, seed)))
        y = tf.one_hot([[label]], 3)
        return float(tf.squeeze(model.log_weight(model.log_joint(x, y, z))))

    mixed = log_joint(0, 0) - log_joint(0, 1) - log_joint(1, 0) + log_joint(1, 1)
    assert (abs(mixed) < 2e-3) == (name in {"DBX", "GBZ", "GBY"})


@pytest.mark.parametrize("name", NAMES)
def test_an_image_does_not_depend_on_its_batch_mates(name: str) -> None:
    model = classifier(name)
    x, noise = images(5), noise_for(model, 3, 5)
    together = model.logits(x, noise).numpy()
    for i in range(5):
        alone = model.logits(x[i : i + 1], noise[:, :, i : i + 1]).numpy()[0]
        assert_close(alone, together[i], 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_do_not_change_the_numbers(name: str) -> None:
    model = classifier(name)
    x, noise = images(7), noise_for(model, 5, 7)
    found = []
    for block_size in (10_000, 50, 10, 1):
        model.block_size = block_size
        drawn = model.log_weights(x, num_samples=5, seed=4)
        found.append((model.log_weights(x, noise).numpy(), drawn.numpy()))
    for given, drawn in found[1:]:
        assert_close(given, found[0][0], 1e-5)
        assert_close(drawn, found[0][1], 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_one_trace_serves_every_batch_size_and_number_of_samples(name: str) -> None:
    model = classifier(name)
    for count, num_samples in ((4, 2), (7, 2), (1, 5), (4, 1)):
        model.logits(images(count), noise_for(model, num_samples, count))
        model.logits(images(count), num_samples=num_samples)
        model.bound(images(count), np.zeros(count, int), num_samples=num_samples)
    graphs = model._graphs(None)
    for graph in (graphs.given_noise[False], graphs.seeded, model._bound_weights):
        assert graph.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("name", NAMES)
def test_what_depends_on_x_alone_is_computed_once_per_image(name: str) -> None:
    model = classifier(name)
    graph = model._graphs(None).given_noise[False].get_concrete_function().graph
    strided = [op for op in graph.get_operations() if op.type == "Conv2D"]
    lookers = [c for c in model.conditionals() if c.features is not None]
    assert len(strided) == 3 * len(lookers)  # none inside the loops over blocks


@pytest.mark.parametrize("name", NAMES)
def test_feature_vector_classifiers_train_and_classify(name: str) -> None:
    model = classifier(name, VECTORS)
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32) * 3
    assert model.logits(x).shape == (4, 3)
    assert np.isfinite(model.bound(x, [0, 1, 2, 0])).all()


def test_logits_are_the_mean_weight_and_the_effective_size_counts_it() -> None:
    model = classifier("GFZ")
    x, noise = images(2), noise_for(model, 6, 2)
    log_w = model.log_weights(x, noise).numpy().astype(np.float64)
    w = np.exp(log_w - log_w.max(0))
    expected = log_w.max(0) + np.log(w.mean(0))
    assert_close(model.logits(x, noise), expected.T)
    size = w.sum(0) ** 2 / (w**2).sum(0)
    np.testing.assert_allclose(model.effective_sample_size(x, noise), size.T, rtol=1e-3)


def test_noise_may_be_shared_by_classes_and_images() -> None:
    model = classifier("GBZ")
    x, noise = images(3), noise_for(model, 2, 3)
    shared = noise[:, :1, :1]
    full = np.broadcast_to(shared, noise.shape)
    assert_close(model.logits(x, shared), model.logits(x, full))


def test_seeds_reproduce_and_fresh_noise_is_fresh() -> None:
    model = classifier("GFY")
    x = images(2)
    np.testing.assert_array_equal(model.logits(x, seed=5), model.logits(x, seed=5))
    assert np.abs(model.logits(x, seed=5) - model.logits(x, seed=6)).max() > 0
    assert np.abs(model.logits(x) - model.logits(x)).max() > 0
    again = classifier("GFY")
    np.testing.assert_array_equal(again.logits(x, seed=5), model.logits(x, seed=5))


def test_fresh_noise_inside_a_users_function_is_fresh_too() -> None:
    model = classifier("GFY")
    compiled = tf.function(lambda x: model(x))
    x = tf.constant(images(2))
    assert np.abs(compiled(x) - compiled(x)).max() > 0


BAD_INPUTS = [
    (images(2)[:, :20], {}, r"shape \[B, 28, 28, 1\], got \[2, 20, 28, 1\]"),
    (images(2)[0], {}, r"shape"),
    ((255 * images(2)).astype(np.uint8), {}, "got uint8.*divide bytes by 255"),
    (255 * images(2), {}, "pixels must lie in \\[0, 1\\].*divide bytes by 255"),
    (np.full((1, 28, 28, 1), np.nan, np.float32), {}, "NaN"),
    (images(2), {"num_samples": 0}, "num_samples must be a whole number of at least 1, got 0"),
    (images(2), {"mode": "median"}, "mode must be one of sample, mean, fixed, zero"),
    (images(2), {"noise": np.zeros((1, 2, 2, 4))}, r"noise must have shape \[K, 3, 2, 4\]"),
    (images(2), {"noise": np.zeros((0, 3, 2, 4))}, "K of at least 1"),
]


@pytest.mark.parametrize(("x", "options", "message"), BAD_INPUTS)
def test_bad_input_is_refused_in_words(x: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier("DBX").logits(x, **options)


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [0.5, 1.0], [0], [[1, 1, 0], [0, 0, 1]]])
def test_labels_out_of_range_are_refused(labels: list) -> None:
    with pytest.raises(ValueError, match="label"):
        classifier("DBX").bound(images(2), labels)


def test_unknown_names_are_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="unknown model 'H'; choose one of GFZ, GFY"):
        published_names.model_name("H")
    with pytest.raises(ValueError, match="unknown likelihood 'l3'; choose one of l2"):
        factorisations.get("GFZ")(IMAGES, "l3")
    with pytest.raises(ValueError, match=r"bernoulli is for pixels.*use l2, l1 or gaussian"):
        factorisations.get("GBZ")(VECTORS, "bernoulli")
    assert [published_names.model_name(letter) for letter in "ABCDEFG"] == NAMES[:7]
    assert published_names.parse_victim("bayes_K10_Z32_A") == ("GFZ", 10, 32)
    assert published_names.parse_victim("bayes_K5_G") == ("GBY", 5, None)
