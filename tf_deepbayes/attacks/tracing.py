"""Compiled attacks whose traces are freed with the classifier they trace."""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_deepbayes.attacks.access import in_float32
from tf_deepbayes.core.errors import InputError


def compiled_per_function(argument: int, *others: int) -> Callable[[Callable], Callable]:
    """`tf.function` whose traces live as long as the classifier's function in its arguments.

    A module-level `tf.function` keeps the graph of every function it was ever called with, and with
    it the weights of classifiers no longer in use. This makes one per function instead. The step
    has TensorFlow's control flow already and is traced without AutoGraph, in two thirds of the
    time; `in_float32` converts the classifier's function where that may need it.

    Args:
        argument: position of the classifier's function, or of an object with it as `logits_fn`.
        others: positions of further functions of the classifier.
    """

    def decorate(step: Callable) -> Callable:
        compiled: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

        @functools.wraps(step)
        def traced(*arguments: Any) -> Any:
            own = list(arguments)
            for position in (argument, *others):
                own[position] = in_float32(own[position])
            return step(*own)

        shared = tf.function(traced, autograph=False)  # for functions without weak references

        @functools.wraps(step)
        def call(*arguments: Any) -> Any:
            key = getattr(arguments[argument], "logits_fn", arguments[argument])
            try:
                own = compiled.setdefault(key, tf.function(traced, autograph=False))
            except TypeError:
                own = shared
            try:
                return own(*arguments)
            except InputError as error:  # while tracing, TensorFlow puts our lines in front of it
                raise InputError(str(error).rpartition("InputError: ")[2].strip()) from None

        return call

    return decorate
