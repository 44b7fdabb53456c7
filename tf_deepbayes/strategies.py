"""Several devices and several machines: where a training step or an attack is computed.

A training step is cut over the devices of a `tf.distribute` strategy; an attack gives each device
whole batches, see `attacks.workers`.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tf_deepbayes.errors import InputError, WorkerLostError
from tf_deepbayes.validation import check_count

TF_CONFIG = "TF_CONFIG"
MAX_CPU_PARTS = 8  # parts of a CPU are for tests: they share its cores
# How TensorFlow reports that the other end of a collective operation is gone.
PEER_LOST = "Collective ops is aborted by"
NO_PEER = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)


def local_devices(count: int | None) -> list[str]:
    """Names of the devices to compute on; one empty name leaves the choice to TensorFlow.

    Comes before anything is computed: without GPUs the CPU is cut into `count` logical devices,
    which share its cores, and TensorFlow fixes its devices then.

    Args:
        count: number of devices; None takes every GPU where there are several.

    Raises:
        InputError: there are fewer GPUs, or TensorFlow has computed already.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if count is None:
        count = max(1, len(gpus))
    if check_count("devices", count) == 1:
        return [""]
    if gpus and count > len(gpus):
        raise InputError(f"asked for {count} devices, TensorFlow sees {len(gpus)} GPUs; use fewer")
    if not gpus and count > MAX_CPU_PARTS:
        raise InputError(
            f"asked for {count} devices, there is no GPU and a CPU is cut into at most "
            f"{MAX_CPU_PARTS}; use fewer"
        )
    if not gpus:
        _cut_cpu(count)
    return [f"/{'GPU' if gpus else 'CPU'}:{index}" for index in range(count)]


def training_strategy(count: int | None = None) -> tf.distribute.Strategy:
    """The strategy in whose scope a model is built to be trained on several devices.

    TF_CONFIG with several workers: all of them, each with all its GPUs. Otherwise `local_devices`.

    Raises:
        InputError: as `local_devices`, or TF_CONFIG is not understood.
    """
    if (workers := _num_workers()) > 1:
        if count is not None:
            raise InputError(
                f"{TF_CONFIG} names several machines, each of which uses all its GPUs; leave out "
                "--devices"
            )
        print(f"training on {workers} machines, when all of them are there", flush=True)
        return tf.distribute.MultiWorkerMirroredStrategy()
    names = local_devices(count)
    if len(names) == 1:
        return tf.distribute.get_strategy()
    # Logical CPUs have no collective operations of their own.
    on_cpu = names[0].startswith("/CPU")
    reduction = tf.distribute.ReductionToOneDevice() if on_cpu else None
    return tf.distribute.MirroredStrategy(names, cross_device_ops=reduction)


def strategy_of(model: keras.Model) -> tf.distribute.Strategy:
    """The strategy in whose scope a model was built: one device unless there was one."""
    built_in = getattr(model.weights[0].value, "distribute_strategy", None)
    return built_in or tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files."""
    return not spans_machines(strategy) or strategy.cluster_resolver.task_id == 0


def spans_machines(strategy: tf.distribute.Strategy) -> bool:
    """Whether there are other processes that can be lost."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


@contextlib.contextmanager
def workers_watched(strategy: tf.distribute.Strategy, folder: pathlib.Path) -> Iterator[None]:
    """Work of several machines: what TensorFlow raises when one is lost becomes WorkerLostError."""
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
    """InputError where machines found different checkpoints."""
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
        workers = config.get("cluster", {}).get("worker", [])
        if workers:
            index = config["task"]["index"]
            if config["task"]["type"] != "worker" or not 0 <= index < len(workers):
                raise ValueError(f"the task is {config['task']}")
        if set(config.get("cluster", {})) - {"worker"}:
            raise ValueError(f"the cluster has {', '.join(config['cluster'])}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{TF_CONFIG} is not understood ({error!r}): expected "
            '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
        ) from None
    return len(workers)


def _cut_cpu(count: int) -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    wanted = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(cpu, wanted)
    except RuntimeError:
        found = len(tf.config.list_logical_devices("CPU"))
        if found < count:
            raise InputError(
                f"asked for {count} devices, TensorFlow has started with {found}; ask before "
                "anything is computed"
            ) from None
