"""Training on several devices and several machines.

A training step is split over the devices of a `tf.distribute` strategy; an attack gives each device
whole batches, see `evaluation.workers`.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tf_deepbayes.core.devices import local_devices
from tf_deepbayes.core.errors import InputError, WorkerLostError

TF_CONFIG = "TF_CONFIG"
# How TensorFlow reports that the other end of a collective operation is gone.
PEER_LOST = "Collective ops is aborted by"
NO_PEER = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)


def training_strategy(count: int | None = None) -> tf.distribute.Strategy:
    """The strategy for building a model that is trained on several devices.

    TF_CONFIG with several workers: all of them, each with all its GPUs. Otherwise `local_devices`.

    Raises:
        InputError: as for `local_devices`, or TF_CONFIG cannot be parsed.
    """
    if (workers := _num_workers()) > 1:
        if count is not None:
            raise InputError(
                f"{TF_CONFIG} names several machines, each of which uses all its GPUs; leave out "
                "--devices"
            )
        print(f"training on {workers} machines, once all of them have started", flush=True)
        return tf.distribute.MultiWorkerMirroredStrategy()
    names = local_devices(count)
    if len(names) == 1:
        return tf.distribute.get_strategy()
    # Logical CPUs have no collective operations of their own.
    on_cpu = names[0].startswith("/CPU")
    reduction = tf.distribute.ReductionToOneDevice() if on_cpu else None
    return tf.distribute.MirroredStrategy(names, cross_device_ops=reduction)


def strategy_of(model: keras.Model) -> tf.distribute.Strategy:
    """The strategy that a model was built with; one device if none."""
    built_in = getattr(model.weights[0].value, "distribute_strategy", None)
    return built_in or tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files."""
    return not spans_machines(strategy) or strategy.cluster_resolver.task_id == 0


def spans_machines(strategy: tf.distribute.Strategy) -> bool:
    """Whether the strategy has other processes that can be lost."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


@contextlib.contextmanager
def workers_watched(strategy: tf.distribute.Strategy, folder: pathlib.Path) -> Iterator[None]:
    """Turn TensorFlow's error for a lost machine into WorkerLostError."""
    try:
        yield
    except tf.errors.OpError as error:
        lines = error.message.splitlines()
        reasons = [line[line.index(PEER_LOST) :] for line in lines if PEER_LOST in line]
        if not spans_machines(strategy) or not (reasons or isinstance(error, NO_PEER)):
            raise
        raise WorkerLostError(
            f"another machine of the training does not answer ({(reasons or [error])[0]}); the "
            f"checkpoint of the last whole epoch is kept in {folder}. Start every machine again "
            "with --resume"
        ) from None


def check_same_epoch(strategy: tf.distribute.Strategy, epoch: int, folder: pathlib.Path) -> None:
    """InputError if the machines found different checkpoints."""
    if not spans_machines(strategy):
        return

    @tf.function
    def sums() -> tf.Tensor:
        own = strategy.run(lambda: tf.constant([epoch, epoch * epoch], tf.int64))
        return strategy.reduce("SUM", own, axis=None)

    total, squares = sums().numpy()
    if squares * strategy.num_replicas_in_sync != total * total:
        raise InputError(
            f"the machines found checkpoints of different epochs, here {epoch} in {folder}; give a "
            "folder that all of them share"
        )


def _num_workers() -> int:
    """Workers that TF_CONFIG names."""
    text = os.environ.get(TF_CONFIG)
    if not text:
        return 1
    try:
        config: dict[str, Any] = json.loads(text)
        cluster = config.get("cluster", {})
        if set(cluster) == {"chief"} and len(cluster["chief"]) == 1:
            return 1
        workers = cluster.get("worker", [])
        if workers:
            index = config["task"]["index"]
            if config["task"]["type"] != "worker" or not 0 <= index < len(workers):
                raise ValueError(f"the task is {config['task']}")
        if set(cluster) - {"worker"}:
            raise ValueError(f"the cluster has {', '.join(cluster)}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{TF_CONFIG} is not understood ({error!r}): expected "
            '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
        ) from None
    return len(workers)
