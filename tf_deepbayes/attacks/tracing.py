"""Compiled attacks whose traces are freed with the classifier they trace."""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def compiled_per_function(argument: int, **options: Any) -> Callable[[Callable], Callable]:
    """`tf.function` whose traces live as long as the classifier's function in its arguments.

    A module-level `tf.function` keeps the graph of every function it was ever called with, and with
    it the weights of classifiers no longer in use. This makes one per function instead.

    Args:
        argument: position of the classifier's function, or of an object with it as `logits_fn`.
        options: options of `tf.function`.
    """

    def decorate(step: Callable) -> Callable:
        compiled: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        shared = tf.function(step, **options)  # for functions without weak references

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
