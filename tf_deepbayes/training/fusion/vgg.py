"""Training of the VGG16 that gives features; resumed runs are bit-identical.

All random numbers of an epoch are a function of (seed, epoch): the order of the images, their
augmentation, the dropout.
"""

import contextlib
import csv
import dataclasses
import io
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.core import metrics
from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.core.devices import deterministic
from tf_deepbayes.core.errors import InputError, StopRequested, TrainingDivergedError
from tf_deepbayes.core.files import read_json, write_json, write_text
from tf_deepbayes.core.progress import progress, stop_requested, stopping_between_steps
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.data.origins import origin_of
from tf_deepbayes.models.fusion.network import KERAS_FILE, save_model
from tf_deepbayes.models.fusion.pixels import GEIFMAN, normalised
from tf_deepbayes.models.fusion.vgg16 import IMAGE, vgg16
from tf_deepbayes.models.keras_model import with_own_settings
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.state.lock import locked
from tf_deepbayes.training.fusion.vgg_settings import VGGSettings
from tf_deepbayes.training.journal import epoch_line, read_history
from tf_deepbayes.training.minibatches import Batches

CONFIG = "vgg.json"
ROTATION, SHIFT = 15 / 360, 0.1  # at most 15°, and a tenth of each side
SHOWN = ("loss", "accuracy", "test_accuracy")


class VGGTraining:
    """A VGG16 in training: the network, its augmentation, its optimizer.

    Rotation and shift resample an image one after the other (bilinear, borders by the nearest
    pixel); the published training does both at once.
    """

    def __init__(self, settings: VGGSettings, dataset: Dataset) -> None:
        self.settings = settings
        num_classes = dataset.architecture.num_classes
        self.model = vgg16(settings.width, settings.dropout, num_classes, settings.seed)
        options: dict[str, Any] = {"fill_mode": "nearest", "dtype": "float32"}
        self.augmentation = [
            keras.layers.RandomRotation(ROTATION, seed=1, **options),
            keras.layers.RandomTranslation(SHIFT, SHIFT, seed=2, **options),
            keras.layers.RandomFlip("horizontal", seed=3, dtype="float32"),
        ]
        self.source = Batches(dataset.train, num_classes, settings.batch_size, settings.seed)
        steps = len(dataset.train) // settings.batch_size
        self.optimizer = settings.make_optimizer(steps)
        self.optimizer.build(self.model.trainable_variables)
        self.loss, self.right = (keras.metrics.Mean(name) for name in ("loss", "accuracy"))
        rows = tf.TensorSpec([settings.batch_size], tf.int32)
        self.step = tf.function(self._step, input_signature=[rows], autograph=False)

    def run_epoch(self, epoch: int, label: str) -> dict[str, float]:
        """The steps of an epoch; the means of loss and accuracy.

        Raises:
            StopRequested: the process was asked to stop.
            TrainingDivergedError: the loss is not finite.
        """
        self._set_seeds(epoch)
        for mean in (self.loss, self.right):
            mean.reset_state()
        order = self.source.order(tf.constant(epoch, tf.int64))
        for rows in progress(order, len(order), label):
            if stop_requested():
                raise StopRequested
            self.step(rows)
        values = {"loss": float(self.loss.result()), "accuracy": float(self.right.result())}
        if not np.isfinite(values["loss"]):
            raise TrainingDivergedError(
                f"the loss is not finite in epoch {epoch + 1}; try a smaller --learning_rate"
            )
        return values

    def test_accuracy(self, dataset: Dataset) -> float:
        """On all test images, in inference mode."""
        answer = lambda x: self.model(normalised(x, GEIFMAN), training=False)  # noqa: E731
        x = tf.TensorSpec([None, *IMAGE], tf.float32)
        graph = tf.function(answer, input_signature=[x], autograph=False)
        predicted = metrics.predict(graph, dataset.test.pixels, 250).argmax(1)
        return metrics.accuracy(predicted, dataset.test.labels)

    def _step(self, rows: Tensor) -> None:
        x, y = self.source.take(rows)
        x = normalised(x, GEIFMAN)
        for layer in self.augmentation:
            x = layer(x, training=True)
        with tf.GradientTape() as tape:
            p = self.model(x, training=True)
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(y, p))
            total = loss + self.settings.weight_decay * tf.add_n(self.model.losses)
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(total, variables), variables)
        self.loss.update_state(loss)
        self.right.update_state(tf.cast(tf.equal(tf.argmax(p, 1), tf.argmax(y, 1)), tf.float32))

    def _set_seeds(self, epoch: int) -> None:
        """Random numbers of an epoch depend on nothing before it."""
        layers = [*self.augmentation, *self.model.layers]
        names = ("generator", "seed_generator")  # of augmentation, of dropout
        found = [getattr(layer, name, None) for layer in layers for name in names]
        generators = [one for one in found if one is not None]
        states = np.random.default_rng([self.settings.seed, epoch]).integers(
            2**31, size=(len(generators), 2), dtype=np.int64
        )
        for generator, state in zip(generators, states, strict=True):
            generator.state.assign(state)


@with_own_settings
def train_vgg(
    settings: VGGSettings, dataset: Dataset, folder: pathlib.Path, resume: bool = False
) -> float:
    """Train the VGG16 in a folder: vgg.json, history.csv, extractor.keras, checkpoint.npz.

    The last three are written after each epoch, the checkpoint after the others.

    Returns:
        The accuracy on test images.

    Raises:
        InputError: images of another size, or the folder holds a training of other settings, or
            one that is not to be resumed.
        StopRequested: the process was asked to stop; the last whole epoch is kept.
    """
    if dataset.train.images.shape[1:] != IMAGE:
        shape = "×".join(map(str, dataset.train.images.shape[1:]))
        raise InputError(f"the VGG16 takes 32×32×3, {dataset.name} has {shape}; use cifar10")
    if len(dataset.train) < settings.batch_size:
        raise InputError(
            f"batch size {settings.batch_size} is more than the {len(dataset.train)} training "
            "images; make it smaller"
        )
    with locked(folder / ".lock", f"the training {folder}"), deterministic():
        _prepare(folder, settings, dataset, resume)
        training = VGGTraining(settings, dataset)
        done = checkpoints.restore(folder, training.model, training.optimizer)
        rows = [row for row in read_history(folder) if int(row["epoch"]) <= done]
        with stopping_between_steps(), _kept(folder):
            for epoch in range(done, settings.epochs):
                started, number = time.monotonic(), epoch + 1
                values = training.run_epoch(epoch, f"epoch {number} of {settings.epochs}, steps")
                values["test_accuracy"] = training.test_accuracy(dataset)
                values["seconds"] = round(time.monotonic() - started, 1)
                rows.append({"epoch": str(number), **{n: repr(v) for n, v in values.items()}})
                _write_history(folder, rows)
                _write_model(folder, training.model)
                # Last: a run killed before it repeats the epoch and writes all of them again.
                checkpoints.save(folder, training.model, training.optimizer, number)
                print(epoch_line(number, settings.epochs, values, SHOWN), flush=True)
        if rows and int(rows[-1]["epoch"]) == max(done, settings.epochs):
            return float(rows[-1]["test_accuracy"])
        return training.test_accuracy(dataset)  # of a finished training without its history


@contextlib.contextmanager
def _kept(folder: pathlib.Path) -> Iterator[None]:
    """A request to stop says what is kept."""
    try:
        yield
    except StopRequested:
        text = f"the checkpoint of the last whole epoch is kept in {folder}"
        raise StopRequested(text) from None


def _prepare(folder: pathlib.Path, settings: VGGSettings, dataset: Dataset, resume: bool) -> None:
    path = folder / CONFIG
    wanted = {**dataclasses.asdict(settings), "data": dataset.name, **origin_of(dataset)}
    if path.is_file():
        if not resume:
            raise InputError(
                f"{folder} holds a VGG16; pass --resume to continue it or another --out"
            )
        found = read_json(path)
        # The rate of SGD does not depend on how many epochs there will be.
        free = ("epochs",) if settings.optimizer == "sgd" else ()
        differences = [
            f"{name} is {found.get(name)} in the folder and {value} in the flags"
            for name, value in wanted.items()
            if found.get(name) != value and name not in free
        ]
        if differences:
            raise InputError(
                f"{folder} cannot be resumed: {'; '.join(differences)}; repeat its flags, or pass "
                "another --out"
            )
    write_json(path, {**wanted, "versions": checkpoints.versions()})


def _write_history(folder: pathlib.Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / checkpoints.HISTORY, text.getvalue())


def _write_model(folder: pathlib.Path, model: keras.Model) -> None:
    temporary = folder / f".{KERAS_FILE}.keras"
    save_model(model, temporary)
    temporary.rename(folder / KERAS_FILE)
