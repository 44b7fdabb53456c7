"""Baselines: shapes, seeds, dropout at prediction, training, run folders."""

import itertools
import pathlib
import subprocess
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.small import IMAGES, VECTORS, images
from tf_deepbayes.attacks import FGSM
from tf_deepbayes.core.architecture import CIFAR, MNIST, Architecture
from tf_deepbayes.data.splits import Split
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.legacy import published_names
from tf_deepbayes.models import registry
from tf_deepbayes.models.baselines import BASELINES, BNN, CNN, MLP, Baseline
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.checkpoints import RunConfig
from tf_deepbayes.runs.run import find_run, load_run
from tf_deepbayes.training.journal import read_history
from tf_deepbayes.training.settings import TrainingSettings
from tf_deepbayes.training.train import train

App = Callable[..., "subprocess.CompletedProcess[str]"]
NAMES = list(BASELINES)


def easy(count: int, seed: int = 0) -> Split:
    """Three classes: a bright band at the top, in the middle or at the bottom, under noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    pixels = random.integers(0, 100, (count, 28, 28, 1))
    for image, label in zip(pixels, labels, strict=True):
        image[9 * label : 9 * label + 9] += 120
    return Split(pixels.astype(np.uint8), labels)


def settings(epochs: int) -> TrainingSettings:
    return TrainingSettings(epochs=epochs, batch_size=16, learning_rate=1e-2, eval_every=epochs)


def trained(name: str, folder: pathlib.Path, epochs: int = 6) -> Baseline:
    model = BASELINES[name](IMAGES, seed=3)
    train(model, easy(96), easy(60, seed=1), settings(epochs), folder, verbose=False)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_seeds(name: str) -> None:
    model, x = BASELINES[name](IMAGES, seed=1), images(5)
    passes = 1 if name != "BNN" else 4
    assert model.log_weights(x, num_samples=4).shape == (passes, 3, 5)
    assert model.logits(x).shape == model(x).shape == (5, 3)
    assert model.log_weights(x, mode="mean").shape == (1, 3, 5)
    assert not model.has_p_x
    np.testing.assert_array_equal(model.logits(x, seed=7), model.logits(x, seed=7))
    for other, same in ((BASELINES[name](IMAGES, seed=1), True), (type(model)(IMAGES, 2), False)):
        equal = np.allclose(model.logits(x, mode="mean"), other.logits(x, mode="mean"))
        assert equal is same


def test_without_dropout_every_call_is_the_same() -> None:
    x = images(3)
    for cls in (MLP, CNN):
        model = cls(IMAGES)
        np.testing.assert_array_equal(model.logits(x), model.logits(x, num_samples=2, mode="mean"))


def test_the_networks_are_the_ones_described() -> None:
    shapes = {name: [tuple(w.shape) for w in BASELINES[name](IMAGES).weights] for name in NAMES}
    assert shapes["MLP"] == [(784, 16), (16,), (16, 16), (16,), (16, 3), (3,)]
    convolutions = [(5, 5, 1, 2), (2,), (5, 5, 2, 3), (3,), (5, 5, 3, 4), (4,)]
    assert shapes["CNN"] == shapes["BNN"] == [*convolutions, (64, 16), (16,), (16, 3), (3,)]
    with pytest.raises(ValueError, match=r"CNN is for images.*input shape \(6,\)"):
        CNN(VECTORS)


@pytest.mark.parametrize(
    ("sizes", "channels", "flat"), [(MNIST, (128, 128, 128), 2048), (CIFAR, (128, 256, 512), 8192)]
)
def test_the_bnn_that_is_trained_is_the_one_of_the_paper(
    sizes: Architecture, channels: tuple[int, ...], flat: int
) -> None:
    model = registry.build("BNN", registry.published_sizes("BNN", sizes))
    shapes = [tuple(w.shape) for w in model.weights if len(w.shape) > 1]
    pairs = itertools.pairwise([sizes.input_shape[2], *channels])
    dense = [(flat, 1000), (1000, 1000), (1000, sizes.num_classes)]
    assert shapes == [*((5, 5, *pair) for pair in pairs), *dense]
    assert isinstance(model, BNN) and model.dropout_rate == 0.3
    assert model.logits(images(1, shape=sizes.input_shape)).shape == (1, sizes.num_classes)
    for name in ("MLP", "CNN", "GFZ"):
        assert registry.published_sizes(name, sizes) == sizes


class TestDropout:
    def test_each_call_draws_anew_and_the_generator_repeats(self) -> None:
        model, x = BNN(IMAGES), images(4)
        model.generator.reset_from_seed(5)
        first, second = model.logits(x), model.logits(x)
        assert np.abs(first - second).max() > 1e-3
        model.generator.reset_from_seed(5)
        np.testing.assert_array_equal(model.logits(x), first)

    def test_logits_are_the_log_of_the_mean_softmax_of_the_passes(self) -> None:
        model, x = BNN(IMAGES), images(4)
        passes = model.log_weights(x, num_samples=7, seed=2).numpy().astype(np.float64)
        exponents = np.exp(passes - passes.max(1, keepdims=True))
        softmax = exponents / exponents.sum(1, keepdims=True)
        found = model.logits(x, num_samples=7, seed=2)
        np.testing.assert_allclose(found, np.log(softmax.mean(0)).T, atol=1e-5)

    def test_every_pass_and_image_has_masks_of_its_own(self) -> None:
        model = BNN(IMAGES)
        passes = model.log_weights(np.repeat(images(1), 6, axis=0), num_samples=5, seed=0).numpy()
        assert len({column.tobytes() for column in passes.transpose(0, 2, 1).reshape(30, 3)}) == 30

    def test_the_first_passes_do_not_depend_on_how_many_follow(self) -> None:
        model, x = BNN(IMAGES), images(3)
        few, many = (model.log_weights(x, num_samples=k, seed=1) for k in (3, 8))
        np.testing.assert_array_equal(few, many[:3])

    def test_one_trace_serves_every_batch_size_and_number_of_passes(self) -> None:
        model = BNN(IMAGES)
        for count, num_samples in ((4, 3), (1, 3), (4, 8)):
            model.logits(images(count), num_samples=num_samples)
        assert model._samples.experimental_get_tracing_count() == 1

    def test_masks_drop_half_of_the_inputs_and_keep_their_mean(self) -> None:
        head = BNN(IMAGES).head
        layer = head.stack.dense[0]
        layer.kernel.assign(np.eye(64, 16))
        layer.bias.assign(np.zeros(16))
        head.stack.dense = [layer]
        dropped = head(tf.ones([2000, 64]), tf.constant([1, 2], tf.int64)).numpy()
        assert set(np.unique(dropped)) == {0.0, 2.0}
        # 32,000 coins: four standard deviations of their mean are 0.022 around 1.
        assert dropped.mean() == pytest.approx(1.0, abs=0.03)

    def test_the_gradient_is_that_of_the_masks_drawn(self) -> None:
        model, x = BNN(IMAGES), tf.constant(images(2))
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = model.logits(x, num_samples=3, seed=4)[0, 1]
        slope = tape.gradient(value, x).numpy()
        assert np.abs(slope[0]).max() > 0 and np.abs(slope[1]).max() == 0
        step = (1e-2 * slope / np.sqrt((slope**2).sum())).astype(np.float32)
        change = [model.logits(x + s * step, num_samples=3, seed=4)[0, 1] for s in (0.5, -0.5)]
        assert float(change[0] - change[1]) == pytest.approx(float((slope * step).sum()), rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_training_reaches_high_accuracy_and_a_resumed_run_the_same_bits(
    name: str, tmp_path: pathlib.Path
) -> None:
    model = trained(name, tmp_path / "whole")
    for epochs in (2, 6):
        trained(name, tmp_path / "parts", epochs)
    row = read_history(tmp_path / "whole")[-1]
    assert set(row) == {"epoch", "cross_entropy", "accuracy", "seconds", "val_accuracy"}
    assert float(row["val_accuracy"]) > 0.9
    with (
        np.load(tmp_path / "whole" / checkpoints.CHECKPOINT) as whole,
        np.load(tmp_path / "parts" / checkpoints.CHECKPOINT) as parts,
    ):
        assert whole["epoch"] == 6 and set(whole.files) == set(parts.files)
        for array in whole.files:
            np.testing.assert_array_equal(whole[array], parts[array])
    test = easy(60, seed=2)
    attacked = FGSM()(model.logits, test.pixels, test.labels, 0.4)
    accuracy = [
        (model.logits(x).numpy().argmax(1) == test.labels).mean() for x in (test.pixels, attacked)
    ]
    assert accuracy[0] > 0.9 > accuracy[1] + 0.3


def test_soft_labels_are_learnt(tmp_path: pathlib.Path) -> None:
    """The cross-entropy against probabilities is lowest at these probabilities."""
    target = np.array([[0.7, 0.2, 0.1]], np.float32)
    split = Split(images(32), np.repeat(target, 32, axis=0))
    model = MLP(IMAGES)
    train(model, split, easy(16), settings(40), tmp_path, verbose=False)
    found = tf.nn.softmax(model.logits(split.pixels)).numpy().mean(0)
    np.testing.assert_allclose(found, target[0], atol=0.03)


@pytest.mark.parametrize(("name", "num_samples"), [("mlp", 1), ("cnn", 1), ("bnn_K3", 3)])
def test_published_names_load_a_run(name: str, num_samples: int, tmp_path: pathlib.Path) -> None:
    model = name.split("_")[0].upper()
    folder = tmp_path / "mnist" / model
    config = RunConfig(model, "mnist", IMAGES, None, 4, {})
    checkpoints.save_config(folder, config)
    checkpoints.save(folder, registry.build(model, IMAGES, seed=9), epoch=1)
    victim = load_run(name, "mnist", tmp_path, Sampling(num_samples, seed=2))
    assert load_run(name, "mnist", tmp_path).sampling == Sampling(num_samples)
    assert victim.config == config
    x = images(2)
    expected = registry.build(model, IMAGES, seed=9)
    expected.generator.reset_from_seed(2)
    np.testing.assert_array_equal(victim.logits_fn(x), expected.logits(x, num_samples=num_samples))
    assert find_run(model, "mnist", tmp_path) == (folder, 10)
    assert find_run(str(folder), "mnist", tmp_path) == (folder, 10)


def test_names() -> None:
    assert [published_names.model_name(name) for name in ("A", "GBY", "BNN")] == [
        "GFZ",
        "GBY",
        "BNN",
    ]
    assert published_names.parse_victim("bnn") is None
    with pytest.raises(ValueError, match=r"unknown model 'ANN'; choose one of GFZ, .*BNN"):
        registry.build("ANN", IMAGES)


def test_what_does_not_apply_is_refused() -> None:
    model, x = BNN(IMAGES), images(1)
    with pytest.raises(ValueError, match="mode of a BNN must be one of sample, mean, got 'zero'"):
        model.logits(x, mode="zero")
    with pytest.raises(ValueError, match="num_samples must be a whole number of at least 1"):
        model.logits(x, num_samples=0)
    with pytest.raises(ValueError, match="pixels must lie in"):
        model.logits(255 * x)
    for logits_fn in (model.log_weights, model.fixed_log_weights):
        with pytest.raises(ValueError, match="noise shared is for draws of z, and BNN draws drop"):
            logits_fn(x, num_samples=2, scheme="shared")
    cnn = CNN(IMAGES)  # draws nothing, so that every scheme and K is the same
    np.testing.assert_array_equal(cnn.logits(x, scheme="shared"), cnn.logits(x))


def test_the_app_trains_a_baseline_and_refuses_flags_of_the_bound(
    app: App, tmp_path: pathlib.Path
) -> None:
    short = ["--data", "mnist_5k", "--num_train", 100, "--epochs", 1, "--out", tmp_path / "run"]
    done = app("train/vae.py", "MLP", *short, "--likelihood", "l2")
    assert done.returncode == 2 and not (tmp_path / "run").exists()
    message = "error: --likelihood does not apply to MLP, it has no bound; leave it out"
    assert done.stderr.splitlines() == [message]
    done = app("train/vae.py", "MLP", *short)
    assert done.returncode == 0, done.stderr
    model, config = checkpoints.load_model(tmp_path / "run")
    assert isinstance(model, MLP) and config.likelihood is None and "beta" not in config.training
