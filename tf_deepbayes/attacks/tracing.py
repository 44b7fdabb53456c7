"""Compiled attacks whose traces go with the classifier that they trace."""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def compiled_per_function(argument: int, **options: Any) -> Callable[[Callable], Callable]:
    """`tf.function`, with its traces kept as long as the classifier's function among its arguments.

    A `tf.function` of a module keeps the graph of every function it was ever called with, and with
    it the weights of classifiers that are long gone. This makes one for each function instead.

    Args:
        argument: position of the classifier's function, or of what has it as `logits_fn`.
        options: those of `tf.function`.
    """

    def decorate(step: Callable) -> Callable:
        compiled: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        shared = tf.function(step, **options)  # for functions that weak references cannot name

        @functools.wraps(step)
        def call(*arguments: Any) -> Any:
            key = getattr(arguments[argument], "logits_fn", arguments[argument])
            try:
                own = compiled.setdefault(key, tf.function(step, **options))
            except TypeError:
                own = shared
            return own(*arguments)

        return call

    return decorate
