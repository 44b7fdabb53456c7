"""Where the time of a training step goes: python -m benchmark.training.

For each model, a step as `train` takes it, and what it is made of: its convolutions and its matrix
products, each timed alone on tensors of its shapes, and the optimizer's update. What is left is all
the rest: densities, activations, noise, running means. The rate of the convolutions is compared
with that of one large matrix product, about what a core can do. All on one thread, on which nothing
runs side by side, so that the parts add up.
"""

from collections.abc import Container, Sequence
from typing import Any

import tensorflow as tf
from absl import flags

from benchmark import measure
from benchmark.measure import Timed
from benchmark.parts import ARCHITECTURES
from benchmark.training.operations import CONVOLUTIONS, PRODUCTS, operations
from benchmark.training.steps import STEPS, random_images, trainer_and_steps
from tf_deepbayes.cli import app
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models import factorisations
from tf_deepbayes.models.classifier import LatentClassifier

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Which models."""
    flags.DEFINE_list("models", list(factorisations.FACTORISATIONS), "models to time")
    flags.DEFINE_enum("sizes", "mnist", list(ARCHITECTURES), "sizes of the networks")
    flags.DEFINE_integer("repeats", 7, "timings of each; the median counts", lower_bound=1)
    flags.DEFINE_enum(
        "clock", "wall", list(measure.CLOCKS), "cpu: processor time, for a machine that is busy"
    )


def parts(model: LatentClassifier) -> dict[str, float]:
    """Milliseconds of a step and of its parts, and the rates in GFLOP/s."""
    trainer, steps, rows = trainer_and_steps(model, *random_images(model.architecture))
    found = operations(trainer)
    blank = [tf.zeros_like(variable) for variable in model.trainable_variables]
    update = tf.function(lambda: trainer.optimizer.apply(blank, model.trainable_variables))
    timed: dict[Any, Timed] = {one: one.alone() for one in found}
    timed |= {"step": lambda: steps.run(rows), "update": lambda: update()}
    timed["matrix"] = measure.matrix_product()
    nothing = tf.function(lambda: tf.constant(0))
    timed["call"] = lambda: nothing()
    seconds: dict[Any, float] = measure.alternate(timed, FLAGS.repeats, measure.CLOCKS[FLAGS.clock])
    call = seconds["call"]

    def total(kinds: Container[str]) -> float:
        return sum(
            (seconds[one] - call) * count for one, count in found.items() if one.kind in kinds
        )

    flops = sum(one.flops * count for one, count in found.items() if one.kind in CONVOLUTIONS)
    return {
        "step": 1e3 * seconds["step"] / STEPS,
        "convolutions": 1e3 * total(CONVOLUTIONS),
        "products": 1e3 * total(PRODUCTS),
        "update": 1e3 * (seconds["update"] - call),
        "rate": flops / total(CONVOLUTIONS) / 1e9,
        "matrix": measure.MATRIX_PRODUCT_FLOPS / seconds["matrix"] / 1e9,
    }


def row(name: str, found: dict[str, float]) -> list[str]:
    """The cells of a model."""
    step = found["step"]
    names = ("convolutions", "products", "update")
    shares = [found[part] / step for part in names]
    shares.append(1.0 - sum(shares))
    rates = f"{found['rate']:.0f} of {found['matrix']:.0f}"
    return [name, f"{step:.1f}", *(f"{share:.0%}" for share in shares), rates]


def main(arguments: Sequence[str]) -> None:
    """Print the table, model by model."""
    if arguments:
        raise InputError(f"expected flags only, got {list(arguments)}")
    for pool in (
        tf.config.threading.set_intra_op_parallelism_threads,
        tf.config.threading.set_inter_op_parallelism_threads,
    ):
        pool(1)
    heading = ["model", "ms a step", "convolutions", "matrix products", "update", "rest"]
    heading.append("GFLOP/s of the convolutions, of a large product")
    for cells in (heading, ["---"] * len(heading)):
        print(f"| {' | '.join(cells)} |")
    for name in FLAGS.models:
        cells = row(name, parts(factorisations.get(name)(ARCHITECTURES[FLAGS.sizes])))
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    app.run(main, define_flags)
