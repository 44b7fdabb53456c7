"""The convolutions and matrix products of a training step, each to be timed alone."""

import collections
import functools
import inspect
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from benchmark.measure import Timed
from benchmark.training.steps import BATCH
from tf_deepbayes.core.axes import Tensor
from tf_deepbayes.training.trainers import BoundTrainer

# Kind → the input whose value is the shape of the output.
CONVOLUTIONS = {"Conv2D": None, "Conv2DBackpropInput": 0, "Conv2DBackpropFilter": 1}
PRODUCTS = ("MatMul", "BatchMatMulV2")
Shape = tuple[int, ...]


class Operation(NamedTuple):
    """A convolution or matrix product of a graph.

    Attributes:
        kind: its name in TensorFlow.
        inputs: shapes of its inputs; of the one that is the shape of the output, that shape.
        output: shape of its output.
        settings: names and values of its attributes.
    """

    kind: str
    inputs: tuple[Shape, ...]
    output: Shape
    settings: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, operation: tf.Operation) -> "Operation":
        """That of a graph whose shapes are known."""
        sizes = CONVOLUTIONS.get(operation.type)
        output = tuple(operation.outputs[0].shape)
        inputs = (
            output if number == sizes else value.shape
            for number, value in enumerate(operation.inputs)
        )
        known = inspect.signature(getattr(tf.raw_ops, operation.type)).parameters
        names = [one.name for one in operation.op_def.attr if one.name in known]
        values = (operation.get_attr(name) for name in names)
        fixed = [tuple(v) if isinstance(v, list) else v for v in values]
        settings = tuple(zip(names, fixed, strict=True))
        shapes = tuple(tuple(map(int, values)) for values in inputs)
        return cls(operation.type, shapes, output, settings)

    @property
    def flops(self) -> int:
        """Multiplications and additions, padding included."""
        if self.kind in PRODUCTS:
            columns_first = dict(self.settings).get("transpose_a", False)
            inner = self.inputs[0][-2 if columns_first else -1]
            return 2 * int(np.prod(self.output)) * inner
        small = self.output if self.kind == "Conv2D" else self.inputs[2]
        kernel = self.inputs[1]  # of Conv2DBackpropFilter too: the sizes of its output
        return 2 * int(np.prod(small[:3])) * int(np.prod(kernel))

    def alone(self) -> Timed:
        """It alone, on random tensors."""
        sizes = CONVOLUTIONS.get(self.kind)
        values = [
            tf.constant(shape) if number == sizes else tf.random.stateless_normal(shape, [0, 1])
            for number, shape in enumerate(self.inputs)
        ]
        operation = getattr(tf.raw_ops, self.kind)
        names = list(inspect.signature(operation).parameters)[: len(values)]
        settings = {n: list(v) if isinstance(v, tuple) else v for n, v in self.settings}
        call = tf.function(lambda: operation(**dict(zip(names, values, strict=True)), **settings))
        return lambda: call()


def operations(trainer: BoundTrainer) -> collections.Counter[Operation]:
    """The convolutions and matrix products of loss and gradients of a batch."""
    architecture = trainer.classifier.architecture
    x = tf.TensorSpec([BATCH, *architecture.input_shape])
    y = tf.TensorSpec([BATCH, architecture.num_classes])
    noise = tf.TensorSpec([1, 1, BATCH, architecture.dim_z])

    @functools.partial(tf.function, input_signature=[x, y, noise], autograph=False)
    def gradients(x: Tensor, y: Tensor, noise: Tensor) -> list[Tensor]:
        return trainer.loss_and_gradients(x, y, [noise])[1]

    wanted = (*CONVOLUTIONS, *PRODUCTS)
    graph = gradients.get_concrete_function().graph
    return collections.Counter(Operation.of(one) for one in needed(graph) if one.type in wanted)


def needed(graph: tf.Graph) -> set[tf.Operation]:
    """The operations that a graph's outputs depend on; TensorFlow runs no others."""
    found: set[tf.Operation] = set()
    waiting = [output.op for output in graph.outputs]
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting += [value.op for value in operation.inputs] + operation.control_inputs
    return found
