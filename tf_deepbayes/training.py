"""Training: a loss, minimised by Adam, resumable to the bit.

Everything random is a function of (seed, epoch) or (seed, step), and a checkpoint holds weights
and optimizer, so that a run that was killed ends where the uninterrupted run ends.
"""

import csv
import dataclasses
import io
import pathlib
import time
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes import checkpoints
from tf_deepbayes.baselines import Baseline
from tf_deepbayes.batches import Batches
from tf_deepbayes.data import Split
from tf_deepbayes.errors import InputError, TrainingDivergedError
from tf_deepbayes.files import write_text
from tf_deepbayes.metrics import accuracy, predict
from tf_deepbayes.models import Classifier
from tf_deepbayes.optimizer import PublishedAdam
from tf_deepbayes.strategies import (
    check_same_epoch,
    is_chief,
    strategy_of,
    workers_watched,
)
from tf_deepbayes.trainers import BoundTrainer, CrossEntropyTrainer, Steps, Trainer
from tf_deepbayes.validation import check_count

VALIDATION_IMAGES = 1000
# Few enough that an interrupt is noticed within seconds; more are not measurably faster.
STEPS_PER_CALL = 20
# Settings of the bound, which baselines do not have.
BOUND_SETTINGS = ("num_samples", "beta")


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Published settings (Li et al. 2019, appendix): MNIST; `for_data` gives the others.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; the rest of an epoch's last batch is dropped, as published.
        learning_rate: of Adam.
        num_samples: K of the bound; K > 1 is importance weighted. Not of baselines.
        beta: published weighting of the bound; 1 is the evidence bound itself. Not of baselines.
        seed: of initial weights, order of images and noise.
        eval_every: epochs between validation accuracies (K = 10, the first 1,000 test images).
    """

    epochs: int = 100
    batch_size: int = 50
    learning_rate: float = 1e-4
    num_samples: int = 1
    beta: float = 1.0
    seed: int = 0
    eval_every: int = 5

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "num_samples", "eval_every"):
            check_count(name, getattr(self, name))
        check_count("seed", self.seed, minimum=0)
        for name in ("learning_rate", "beta"):
            value = getattr(self, name)
            if not np.isfinite(value) or value <= 0:
                raise InputError(f"{name} must be a finite number above 0, got {value}")

    def steps_per_epoch(self, num_images: int) -> int:
        """Whole batches of an epoch; InputError when there is none."""
        if num_images < self.batch_size:
            raise InputError(
                f"batch size {self.batch_size} is more than the {num_images} training images; "
                "make it smaller"
            )
        return num_images // self.batch_size

    def check_devices(self, count: int) -> None:
        """InputError where a batch has fewer images than there are devices."""
        if self.batch_size < count:
            raise InputError(
                f"batch size {self.batch_size} is less than the {count} devices; make it larger or "
                "use fewer devices"
            )

    @classmethod
    def for_data(cls, name: str) -> "TrainingSettings":
        """The published settings for a data set."""
        if name == "plane_frog":
            return cls(epochs=200, learning_rate=5e-5)
        return cls()


def batches(
    split: Split, num_classes: int, batch_size: int, seed: int, epoch: int
) -> tf.data.Dataset:
    """The batches of `train` for Keras' `fit`: endless pairs (pixels, label rows) from `epoch` on.

    The order is a function of (seed, epoch), see `Batches`.
    """
    source = Batches(split, num_classes, batch_size, seed)
    epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
    steps = epochs.flat_map(lambda e: tf.data.Dataset.from_tensor_slices(source.order(e)))
    return steps.map(source.take).prefetch(2)


class _Journal(keras.callbacks.Callback):
    """After each epoch: validation accuracy, CSV and TensorBoard logs, then the checkpoint."""

    def __init__(
        self, folder: pathlib.Path, validation: Split, settings: TrainingSettings, epoch: int
    ):
        super().__init__()
        self.folder, self.validation, self.settings = folder, validation, settings
        self.rows = [row for row in read_history(folder) if int(row["epoch"]) <= epoch]

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.writes = is_chief(strategy_of(self.model.classifier))
        if self.writes:
            self.board = tf.summary.create_file_writer(str(self.folder / "tensorboard"))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        objective = self.model.objective
        if not np.isfinite((logs or {})[objective]):
            raise TrainingDivergedError(self._advice(f"the {objective}"))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        classifier, optimizer = self.model.classifier, self.model.optimizer
        if not all(np.isfinite(w.numpy()).all() for w in classifier.trainable_variables):
            raise TrainingDivergedError(self._advice("a weight"))
        if not self.writes:
            return
        values = {name: float(value) for name, value in (logs or {}).items()}
        values["seconds"] = round(time.monotonic() - self.started, 1)
        done = epoch + 1
        if done % self.settings.eval_every == 0 or done == self.settings.epochs:
            values["val_accuracy"] = self._validate()
        self._log(done, values)
        checkpoints.save(self.folder, classifier, optimizer, done)

    def _advice(self, what: str) -> str:
        return (
            f"{what} is not finite after {int(self.model.optimizer.iterations.numpy())} steps; the "
            f"checkpoint of the last whole epoch is kept in {self.folder}. Try a smaller learning "
            "rate"
        )

    def _validate(self) -> float:
        logits_fn = lambda x: self.model.classifier.logits(x, seed=0)  # noqa: E731
        predicted = predict(logits_fn, self.validation.pixels, batch_size=100).argmax(1)
        return accuracy(predicted, self.validation.labels)

    def _log(self, epoch: int, values: dict[str, float]) -> None:
        self.rows.append({"epoch": str(epoch), **{n: repr(v) for n, v in values.items()}})
        text = io.StringIO()
        columns = dict.fromkeys(name for row in self.rows for name in row)
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.folder / "history.csv", text.getvalue())
        with self.board.as_default():
            for name, value in values.items():
                tf.summary.scalar(name, value, step=epoch)
        self.board.flush()


def read_history(folder: pathlib.Path) -> list[dict[str, str]]:
    """The rows of `history.csv`; none when there is no such file. InputError when it is damaged."""
    path = folder / "history.csv"
    if not path.exists():
        return []
    try:
        rows = list(csv.DictReader(path.read_text().splitlines()))
        if all(int(row["epoch"]) > 0 and None not in row for row in rows):
            return rows
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        pass
    raise InputError(f"{path} is damaged; restore it, or delete it to go on without it")


def trainer_of(
    classifier: Classifier, settings: TrainingSettings, jit_compile: bool = False
) -> Trainer:
    """The bound for deep Bayes classifiers, cross-entropy for baselines."""
    if isinstance(classifier, Baseline):
        return CrossEntropyTrainer(classifier, settings.seed, jit_compile)
    count, beta = settings.num_samples, settings.beta
    return BoundTrainer(classifier, count, beta, settings.seed, jit_compile)


def train(
    classifier: Classifier,
    train_split: Split,
    validation: Split,
    settings: TrainingSettings,
    folder: pathlib.Path,
    verbose: int | str = "auto",
    jit_compile: bool = False,
) -> int:
    """Train, continuing from the folder's checkpoint if there is one; the epochs done before.

    A classifier that was built in the scope of a strategy (`training_strategy`) is trained on its
    devices: each computes its part of every batch, and the sum is the step of one device. On
    several machines the first writes the folder, which all must share.

    Switches TensorFlow to deterministic kernels, so that a resumed run gives the same bits.

    Args:
        jit_compile: compile loss and gradients with XLA.

    Raises:
        TrainingDivergedError: a loss or weight is not finite; the last checkpoint stays.
        WorkerLostError: another machine does not answer; the last checkpoint stays.
        InputError: fewer images than one batch, fewer images in a batch than devices, or a
            checkpoint that does not fit.
    """
    strategy = strategy_of(classifier)
    steps = settings.steps_per_epoch(len(train_split))
    settings.check_devices(strategy.num_replicas_in_sync)
    tf.config.experimental.enable_op_determinism()
    with strategy.scope():
        trainer = trainer_of(classifier, settings, jit_compile)
        trainer.compile(PublishedAdam(settings.learning_rate), jit_compile=False)
        trainer.optimizer.build(classifier.trainable_variables)
    epoch = checkpoints.restore(folder, classifier, trainer.optimizer)
    shown = validation.first(min(VALIDATION_IMAGES, len(validation)))
    callbacks = keras.callbacks.CallbackList(
        [_Journal(folder, shown, settings, epoch)],
        add_progbar=verbose != 0,
        model=trainer,
        verbose=1 if verbose == "auto" else verbose,
        epochs=settings.epochs,
        steps=steps,
    )
    num_classes = classifier.architecture.num_classes
    source = Batches(train_split, num_classes, settings.batch_size, settings.seed)
    with workers_watched(strategy, folder):
        check_same_epoch(strategy, epoch, folder)
        _run_epochs(Steps(trainer, source), range(epoch, settings.epochs), callbacks)
    return epoch


def _run_epochs(
    steps: Steps, epochs: Iterable[int], callbacks: keras.callbacks.CallbackList
) -> None:
    callbacks.on_train_begin()
    for epoch in epochs:
        callbacks.on_epoch_begin(epoch)
        steps.trainer.reset_metrics()
        order, logs = steps.batches.order(tf.constant(epoch, tf.int64)), {}
        for first in range(0, len(order), STEPS_PER_CALL):
            rows = order[first : first + STEPS_PER_CALL]
            steps.run(rows)
            logs = {name: float(value) for name, value in steps.trainer.results().items()}
            callbacks.on_train_batch_end(first + len(rows) - 1, logs)
        callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end()
