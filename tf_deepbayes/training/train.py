"""Training: a loss minimised by Adam; resumed runs are bit-identical.

Everything random is a function of (seed, epoch) or (seed, step), and a checkpoint holds weights
and optimizer state, so an interrupted run gives the same result as an uninterrupted one.
"""

import pathlib
from collections.abc import Iterable

import keras
import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.devices import deterministic
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import PathLike
from tf_deepbayes.core.progress import progress, stopping_between_steps
from tf_deepbayes.core.validation import check_labels
from tf_deepbayes.data.splits import Split
from tf_deepbayes.models.baselines import Baseline
from tf_deepbayes.models.keras_model import with_own_settings
from tf_deepbayes.models.registry import Classifier
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.training.journal import Journal
from tf_deepbayes.training.minibatches import Batches
from tf_deepbayes.training.settings import TrainingSettings
from tf_deepbayes.training.steps.adam import PublishedAdam
from tf_deepbayes.training.strategies import (
    check_same_epoch,
    strategy_of,
    workers_watched,
)
from tf_deepbayes.training.trainers import (
    BoundTrainer,
    CrossEntropyTrainer,
    Steps,
    Trainer,
)

VALIDATION_IMAGES = 1000
# Few enough that an interrupt is noticed within seconds; more are not measurably faster.
STEPS_PER_CALL = 20


def trainer_of(
    classifier: Classifier, settings: TrainingSettings, jit_compile: bool = False
) -> Trainer:
    """The bound for deep Bayes classifiers, cross-entropy for baselines."""
    if isinstance(classifier, Baseline):
        return CrossEntropyTrainer(classifier, settings.seed, jit_compile)
    count, beta = settings.num_samples, settings.beta
    kl_warm_up = settings.warm_up_of(type(classifier).__name__)
    return BoundTrainer(classifier, count, beta, settings.seed, jit_compile, kl_warm_up)


@deterministic()
@with_own_settings
def train(
    classifier: Classifier,
    train_split: Split,
    validation: Split,
    settings: TrainingSettings,
    folder: PathLike,
    verbose: bool = True,
    jit_compile: bool = False,
) -> int:
    """Train, continuing from the folder's checkpoint if any; returns the epochs done before.

    A classifier built in the scope of a strategy (`training_strategy`) is trained on its devices:
    each computes its part of every batch, and the sum equals the step of one device. On several
    machines, the first writes the folder, which all must share.

    Kernels are deterministic meanwhile, so that a resumed run is bit-identical.

    Args:
        verbose: print a line for each epoch, and on a terminal the progress within the epoch.
        jit_compile: compile loss and gradients with XLA.

    Raises:
        StopRequested: the process was asked to stop; the last checkpoint is kept.
        TrainingDivergedError: a loss or weight is not finite; the last checkpoint is kept.
        WorkerLostError: another machine does not answer; the last checkpoint is kept.
        InputError: fewer images than one batch, fewer images in a batch than devices, or a
            checkpoint that does not match.
    """
    folder, strategy = pathlib.Path(folder), strategy_of(classifier)
    for name, split in (("training", train_split), ("validation", validation)):
        _check_fits(classifier.architecture, split, name)
    steps = settings.steps_per_epoch(len(train_split))
    settings.check_devices(strategy.num_replicas_in_sync)
    with strategy.scope():
        trainer = trainer_of(classifier, settings, jit_compile)
        trainer.compile(PublishedAdam(settings.learning_rate), jit_compile=False)
        trainer.optimizer.build(classifier.trainable_variables)
    epoch = checkpoints.restore(folder, classifier, trainer.optimizer)
    shown = validation.first(min(VALIDATION_IMAGES, len(validation)))
    callbacks = keras.callbacks.CallbackList(
        [Journal(folder, shown, settings, epoch, verbose)],
        model=trainer,
        epochs=settings.epochs,
        steps=steps,
    )
    num_classes = classifier.architecture.num_classes
    source = Batches(train_split, num_classes, settings.batch_size, settings.seed)
    with workers_watched(strategy, folder), stopping_between_steps():
        check_same_epoch(strategy, epoch, folder)
        epochs = range(epoch, settings.epochs)
        _run_epochs(Steps(trainer, source), epochs, callbacks, verbose)
    return epoch


def _check_fits(architecture: Architecture, split: Split, name: str) -> None:
    """InputError unless the classifier takes these images and labels."""
    shape, num_classes = split.images.shape[1:], architecture.num_classes
    if shape != architecture.input_shape:
        raise InputError(
            f"the classifier takes x {list(architecture.input_shape)}, the {name} images are "
            f"{list(shape)}; build it with their architecture"
        )
    if split.labels.ndim == 1:
        check_labels(split.labels, num_classes, what=f"{name} labels")
    elif split.labels.shape[1] != num_classes:
        raise InputError(
            f"the classifier has {num_classes} classes, the {name} labels "
            f"{split.labels.shape[1]} columns; give probabilities of its classes"
        )


def _run_epochs(
    steps: Steps, epochs: range, callbacks: keras.callbacks.CallbackList, verbose: bool
) -> None:
    callbacks.on_train_begin()
    for epoch in epochs:
        callbacks.on_epoch_begin(epoch)
        steps.trainer.reset_metrics()
        order, logs = steps.batches.order(tf.constant(epoch, tf.int64)), {}
        calls: Iterable[int] = range(0, len(order), STEPS_PER_CALL)
        if verbose:
            label = f"epoch {epoch + 1} of {epochs.stop}, steps"
            calls = progress(calls, len(order), label, STEPS_PER_CALL)
        for first in calls:
            callbacks.on_train_batch_begin(first)
            rows = order[first : first + STEPS_PER_CALL]
            steps.run(rows)
            logs = {name: float(value) for name, value in steps.trainer.results().items()}
            callbacks.on_train_batch_end(first + len(rows) - 1, logs)
        callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end()
