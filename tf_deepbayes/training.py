"""Training: a loss, minimised by Adam, resumable to the bit.

Everything random is a function of (seed, epoch) or (seed, step), and a checkpoint holds weights
and optimizer, so that a run that was killed ends where the uninterrupted run ends.
"""

import csv
import dataclasses
import io
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes import checkpoints
from tf_deepbayes.axes import Tensor
from tf_deepbayes.baselines import Baseline
from tf_deepbayes.data import Split
from tf_deepbayes.errors import InputError, TrainingDivergedError
from tf_deepbayes.files import write_text
from tf_deepbayes.metrics import accuracy, predict
from tf_deepbayes.models import Classifier
from tf_deepbayes.optimizer import PublishedAdam
from tf_deepbayes.trainers import BoundTrainer, CrossEntropyTrainer, Trainer
from tf_deepbayes.validation import check_count

VALIDATION_IMAGES = 1000
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

    @classmethod
    def for_data(cls, name: str) -> "TrainingSettings":
        """The published settings for a data set."""
        if name == "plane_frog":
            return cls(epochs=200, learning_rate=5e-5)
        return cls()


def batches(
    split: Split, num_classes: int, batch_size: int, seed: int, epoch: int
) -> tf.data.Dataset:
    """Endless batches (pixels, label rows) from `epoch` on; each epoch in an order of its own.

    Label rows are one-hot, or the split's own class probabilities. The order is a function of
    (seed, epoch); the rest of an epoch's last batch is dropped.
    """
    images, labels = tf.constant(split.images), tf.constant(split.labels)
    count = len(split) // batch_size * batch_size

    def order(e: Tensor) -> tf.data.Dataset:
        rows = tf.random.experimental.stateless_shuffle(
            tf.range(len(split)), tf.stack([tf.cast(seed, tf.int64), e])
        )
        return tf.data.Dataset.from_tensor_slices(rows[:count]).batch(
            batch_size, drop_remainder=True
        )

    def gather(rows: Tensor) -> tuple[Tensor, Tensor]:
        x, y = tf.gather(images, rows), tf.gather(labels, rows)
        pixels = x if x.dtype.is_floating else tf.cast(x, tf.float32) / 255.0
        return pixels, y if y.dtype.is_floating else tf.one_hot(y, num_classes)

    epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max).flat_map(order)
    return epochs.map(gather).prefetch(2)


class _Journal(keras.callbacks.Callback):
    """After each epoch: validation accuracy, CSV and TensorBoard logs, then the checkpoint."""

    def __init__(
        self, folder: pathlib.Path, validation: Split, settings: TrainingSettings, epoch: int
    ):
        super().__init__()
        self.folder, self.validation, self.settings = folder, validation, settings
        self.rows = [row for row in read_history(folder) if int(row["epoch"]) <= epoch]
        self.board = tf.summary.create_file_writer(str(folder / "tensorboard"))

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
        values = {name: float(value) for name, value in (logs or {}).items()}
        values["seconds"] = round(time.monotonic() - self.started, 1)
        done = epoch + 1
        if done % self.settings.eval_every == 0 or done == self.settings.epochs:
            values["val_accuracy"] = self._validate()
        self._log(done, values)
        checkpoints.save(self.folder, classifier, optimizer, done)

    def _advice(self, what: str) -> str:
        return (
            f"{what} is not finite at step {int(self.model.optimizer.iterations)}; the checkpoint "
            f"of the last whole epoch is kept in {self.folder}. Try a smaller learning rate"
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


def trainer_of(classifier: Classifier, settings: TrainingSettings) -> Trainer:
    """The bound for deep Bayes classifiers, cross-entropy for baselines."""
    if isinstance(classifier, Baseline):
        return CrossEntropyTrainer(classifier, settings.seed)
    return BoundTrainer(classifier, settings.num_samples, settings.beta, settings.seed)


def train(
    classifier: Classifier,
    train_split: Split,
    validation: Split,
    settings: TrainingSettings,
    folder: pathlib.Path,
    verbose: int | str = "auto",
) -> int:
    """Train, continuing from the folder's checkpoint if there is one; the epochs done before.

    Switches TensorFlow to deterministic kernels, so that a resumed run gives the same bits.

    Raises:
        TrainingDivergedError: a loss or weight is not finite; the last checkpoint stays.
        InputError: fewer images than one batch, or a checkpoint that does not fit.
    """
    steps = settings.steps_per_epoch(len(train_split))
    tf.config.experimental.enable_op_determinism()
    trainer = trainer_of(classifier, settings)
    trainer.compile(PublishedAdam(settings.learning_rate), jit_compile=False)
    trainer.optimizer.build(classifier.trainable_variables)
    epoch = checkpoints.restore(folder, classifier, trainer.optimizer)
    num_classes = classifier.architecture.num_classes
    shown = validation.first(min(VALIDATION_IMAGES, len(validation)))
    trainer.fit(
        batches(train_split, num_classes, settings.batch_size, settings.seed, epoch),
        initial_epoch=epoch,
        epochs=settings.epochs,
        steps_per_epoch=steps,
        callbacks=[_Journal(folder, shown, settings, epoch)],
        shuffle=False,
        verbose=verbose,
    )
    return epoch
