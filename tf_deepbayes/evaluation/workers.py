"""Batches of an attack on several devices, each with its own copy of the classifier.

Devices get whole batches, and a batch's noise is a function of its number, so the attacked images
are the same on any number of devices. (`MirroredStrategy` would split each batch, which changes
the noise, and would run the devices one after another when an attack steps from Python.)
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

Reseed: TypeAlias = Callable[[int], None]  # sets a classifier's noise to a numbered state
Result = TypeVar("Result")


def on_device(name: str) -> contextlib.AbstractContextManager:
    """The device where TensorFlow computes and keeps weights; "" leaves the choice to it."""
    return tf.device(name) if name else contextlib.nullcontext()


@dataclasses.dataclass(frozen=True)
class Worker:
    """The classifiers attacked on one device, used by nothing else.

    Attributes:
        access: access to the classifier whose gradients are followed.
        target_fn: the victim's logits, which an attack may use to stop early.
        reseed: sets the noise of both.
        device: the device of their weights, such as "/GPU:1"; "" leaves the choice to TensorFlow.
    """

    access: ModelAccess
    target_fn: LogitsFn
    reseed: Reseed
    device: str = ""

    def on_device(self) -> contextlib.AbstractContextManager:
        """Compute on this worker's device."""
        return on_device(self.device)


def spread(call: Callable[[int, int], Result], count: int, num_workers: int) -> Iterator[Result]:
    """call(worker, index) for each index below `count`, in order; each worker has one at a time.

    After an error, no further call starts.
    """
    if num_workers == 1:
        yield from (call(0, index) for index in range(count))
        return
    idle: queue.SimpleQueue[int] = queue.SimpleQueue()
    for worker in range(num_workers):
        idle.put(worker)

    failed: list[int] = []

    def one(index: int) -> Result:
        worker = idle.get()
        try:
            # Checked here too: whoever waits for the results may learn of the error late.
            if any(earlier < index for earlier in failed):
                raise concurrent.futures.CancelledError
            return call(worker, index)
        except BaseException:
            failed.append(index)
            raise
        finally:
            idle.put(worker)

    pool = concurrent.futures.ThreadPoolExecutor(num_workers)
    try:
        yield from pool.map(one, range(count))
    finally:
        pool.shutdown(cancel_futures=True)
