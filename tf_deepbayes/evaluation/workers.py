"""Batches of an attack on several devices, each of which has a copy of the classifier.

A device is given whole batches, and the noise of a batch is a function of its number: the images
are those of one device, whichever device attacks them. (`MirroredStrategy` would cut each batch,
which changes the noise, and would run one device after another where an attack steps from Python.)
"""

import concurrent.futures
import contextlib
import dataclasses
import queue
from collections.abc import Callable, Iterator
from typing import TypeAlias, TypeVar

import tensorflow as tf

from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.core.axes import LogitsFn

Reseed: TypeAlias = Callable[[int], None]  # puts a classifier's noise into a numbered state
Result = TypeVar("Result")


def on_device(name: str) -> contextlib.AbstractContextManager:
    """Where TensorFlow computes and keeps weights; "" leaves the choice to it."""
    return tf.device(name) if name else contextlib.nullcontext()


@dataclasses.dataclass(frozen=True)
class Worker:
    """What is attacked on one device, where nothing else uses it.

    Attributes:
        access: to the classifier whose gradients are followed.
        target_fn: the victim's logits, by which an attack may stop early.
        reseed: of the noise of both.
        device: such as "/GPU:1", on which its weights are; "" leaves the choice to TensorFlow.
    """

    access: ModelAccess
    target_fn: LogitsFn
    reseed: Reseed
    device: str = ""

    def on_device(self) -> contextlib.AbstractContextManager:
        """Where it computes."""
        return on_device(self.device)


def spread(call: Callable[[int, int], Result], count: int, num_workers: int) -> Iterator[Result]:
    """call(worker, index) for each index below `count`, in order; a worker has one at a time.

    After an error no further call is begun.
    """
    if num_workers == 1:
        yield from (call(0, index) for index in range(count))
        return
    idle: queue.SimpleQueue[int] = queue.SimpleQueue()
    for worker in range(num_workers):
        idle.put(worker)

    def one(index: int) -> Result:
        worker = idle.get()
        try:
            return call(worker, index)
        finally:
            idle.put(worker)

    pool = concurrent.futures.ThreadPoolExecutor(num_workers)
    try:
        yield from pool.map(one, range(count))
    finally:
        pool.shutdown(cancel_futures=True)
