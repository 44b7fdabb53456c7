"""After each epoch: validation accuracy, CSV and TensorBoard logs, the checkpoint."""

import csv
import io
import pathlib
import sys
import time
from collections.abc import Iterable, Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_deepbayes.core.errors import InputError, StopRequested, TrainingDivergedError
from tf_deepbayes.core.files import PathLike, errors_named, write_text
from tf_deepbayes.core.metrics import accuracy, predict
from tf_deepbayes.core.progress import stop_requested
from tf_deepbayes.data.splits import Split
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.training.settings import TrainingSettings
from tf_deepbayes.training.strategies import (
    is_chief,
    strategy_of,
)

BOARD = "tensorboard"  # folder of its logs
WARNING = "warning"  # the only column of words


class Journal(keras.callbacks.Callback):
    """After each epoch: validation accuracy, CSV and TensorBoard logs, then the checkpoint.

    Args:
        epoch: epochs already done.
        verbose: print a line for each epoch.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        validation: Split,
        settings: TrainingSettings,
        epoch: int,
        verbose: bool,
    ):
        super().__init__()
        self.folder, self.validation, self.settings = folder, validation, settings
        self.verbose = verbose
        self.rows = [row for row in read_history(folder) if int(row["epoch"]) <= epoch]

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.writes = is_chief(strategy_of(self.model.classifier))
        if self.writes:
            with errors_named(self.folder / BOARD):
                self._start_board()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.started = time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if stop_requested():
            raise StopRequested(f"the checkpoint of the last whole epoch is kept in {self.folder}")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        objective = self.model.objective
        if not np.isfinite((logs or {})[objective]):
            raise TrainingDivergedError(self._advice(f"the {objective}"))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        classifier, optimizer = self.model.classifier, self.model.optimizer
        if not all(np.isfinite(w.numpy()).all() for w in classifier.trainable_variables):
            raise TrainingDivergedError(self._advice("a weight"))
        warning = self.model.warning()  # on every machine: together they read the mean of an epoch
        if not self.writes:
            return
        values = {name: float(value) for name, value in (logs or {}).items()}
        values["seconds"] = round(time.monotonic() - self.started, 1)
        done = epoch + 1
        if done % self.settings.eval_every == 0 or done == self.settings.epochs:
            values["val_accuracy"] = self._validate()
        self._log(done, values, self._once(warning))
        checkpoints.save(self.folder, classifier, optimizer, done)
        if self.verbose:
            shown = (self.model.objective, "val_accuracy")
            print(epoch_line(done, self.settings.epochs, values, shown), flush=True)

    def _advice(self, what: str) -> str:
        on_features = not self.model.classifier.architecture.is_image
        return (
            f"{what} is not finite after {int(self.model.optimizer.iterations.numpy())} steps; the "
            f"checkpoint of the last whole epoch is kept in {self.folder}. Try a smaller learning "
            f"rate{', or a smaller --feature_scale' if on_features else ''}"
        )

    def _once(self, text: str | None) -> str | None:
        """A warning, said and returned once in a run."""
        if any(row.get(WARNING) for row in self.rows):
            return None
        if text and self.verbose:
            print(f"warning: {text}", file=sys.stderr, flush=True)
        return text

    def _validate(self) -> float:
        logits_fn = lambda x: self.model.classifier.logits(x, seed=0)  # noqa: E731
        predicted = predict(logits_fn, self.validation.pixels, batch_size=100).argmax(1)
        return accuracy(predicted, self.validation.labels)

    def _log(self, epoch: int, values: dict[str, float], warning: str | None) -> None:
        words = {WARNING: warning} if warning else {}
        self.rows.append({"epoch": str(epoch), **{n: repr(v) for n, v in values.items()}, **words})
        text = io.StringIO()
        columns = dict.fromkeys(name for row in self.rows for name in row)
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.folder / checkpoints.HISTORY, text.getvalue())
        with errors_named(self.folder / BOARD):
            self._show(epoch, values)

    def _start_board(self) -> None:
        """Write the log of the epochs before, so that no epoch is in it twice."""
        for old in (self.folder / BOARD).glob("events.out.tfevents.*"):
            old.unlink()
        self.board = tf.summary.create_file_writer(str(self.folder / BOARD))
        for row in self.rows:
            values = {name: float(text) for name, text in row.items() if text and name != WARNING}
            self._show(int(values.pop("epoch")), values)

    def _show(self, epoch: int, values: Mapping[str, float]) -> None:
        with self.board.as_default():
            for name, value in values.items():
                tf.summary.scalar(name, value, step=epoch)
            self.board.flush()


def epoch_line(done: int, epochs: int, values: Mapping[str, float], shown: Iterable[str]) -> str:
    """An epoch as one line: `epoch 3 of 20: bound -95.31, val_accuracy 0.934, 12 s`.

    Args:
        values: values by name, including `seconds`.
        shown: names of the values to show, if present.
    """
    found = {name: values[name] for name in shown if name in values}
    parts = [f"{name} {v:.{2 if abs(v) >= 10.0 else 3}f}" for name, v in found.items()]
    parts.append(f"{values['seconds']:.0f} s")
    return f"epoch {done} of {epochs}: {', '.join(parts)}"


def read_history(folder: PathLike) -> list[dict[str, str]]:
    """The rows of `history.csv`; none when there is no such file. InputError when it is damaged."""
    path = pathlib.Path(folder, checkpoints.HISTORY)
    if not path.exists():
        return []
    try:
        rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
        if all(int(row["epoch"]) > 0 and None not in row for row in rows):
            return rows
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        pass
    raise InputError(f"{path} is damaged; restore it, or delete it to continue without it")
