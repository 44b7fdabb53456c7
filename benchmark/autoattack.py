"""Compare the standard evaluation with AutoAttack: python -m benchmark.autoattack --network NET.

The same network and images are attacked by AutoAttack standard (Croce and Hein 2020: APGD-CE,
APGD-T, FAB-T and Square, each on the survivors; package pyautoattack) and by `db.evaluate` of some
budgets. The network runs in TensorFlow for both, so that there is nothing to convert. Prints a row
for each eps: what each leaves, the images that one of them alone breaks, forward and backward
passes per image, and processor seconds. It needs the extra `peers`; with --reference, AutoAttack's
outcome is read from an .npz with a bool array `final` `[N]` instead, True where an image is still
right.
"""

import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from tf_deepbayes.attacks.access import ModelAccess
from tf_deepbayes.cli import app
from tf_deepbayes.core.axes import Array, LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.files import read_arrays, write_json
from tf_deepbayes.data import datasets
from tf_deepbayes.models.keras_classifier import read_keras
from tf_deepbayes.robustness.budgets import BUDGETS
from tf_deepbayes.robustness.report import evaluate
from tf_deepbayes.runs import results

FLAGS = flags.FLAGS
NORMS = {"inf": "Linf", "2": "L2"}
INSTALL = "pip install 'tf_deepbayes[peers]', or give --reference"


def define_flags() -> None:
    """Which network, on what."""
    flags.DEFINE_string("network", None, "a .keras file: pixels in [0, 1] to logits")
    flags.DEFINE_string("data", "fashion_mnist", "data set")
    flags.DEFINE_string("data_dir", None, "the only folder to search for the data set")
    flags.DEFINE_integer("num_images", 500, "first test images")
    flags.DEFINE_list("eps", ["0.1"], "radii of the ball")
    flags.DEFINE_enum("norm", "inf", list(NORMS), "norm of the ball")
    flags.DEFINE_list("budgets", ["standard", "full"], "budgets of ours")
    flags.DEFINE_integer("batch_size", 100, "images at a time")
    flags.DEFINE_string("reference", None, "AutoAttack's outcome, an .npz, instead of running it")
    flags.DEFINE_string("out", None, "JSON file to write as well")


class Counted:
    """A network that counts the images that pass forward and backward."""

    def __init__(self, network: LogitsFn) -> None:
        self.network, self.forward, self.backward = network, 0, 0

    def __call__(self, x: Tensor) -> Tensor:
        return self.network(self._tally(x))

    @property
    def passes(self) -> tuple[int, int]:
        """So far."""
        return self.forward, self.backward

    def _tally(self, x: Tensor) -> Tensor:
        @tf.custom_gradient
        def same(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            def gradient(upstream: Tensor) -> Tensor:
                with tf.control_dependencies([_call(self._add_backward, upstream)]):
                    return tf.identity(upstream)

            with tf.control_dependencies([_call(self._add_forward, x)]):
                return tf.identity(x), gradient

        return same(x)

    def _add_forward(self, count: int) -> int:
        self.forward += int(count)
        return count

    def _add_backward(self, count: int) -> int:
        self.backward += int(count)
        return count


def _call(add: Callable[[int], int], x: Tensor) -> Tensor:
    return tf.numpy_function(add, [tf.shape(x)[0]], tf.int32)


def autoattack(network: LogitsFn, x: Array, y: Array, eps: float) -> Array:
    """Whether each image is still right after AutoAttack standard, bool `[N]`."""
    try:
        import torch
        from pyautoattack import AutoAttack
    except ImportError:
        raise InputError(f"the comparison needs torch and pyautoattack: {INSTALL}") from None

    class Answer(torch.autograd.Function):
        """The network's logits in torch, with its gradient from TensorFlow."""

        @staticmethod
        def forward(context: Any, images: Any) -> Any:
            context.save_for_backward(images)
            return torch.from_numpy(logits(nhwc(images)).numpy())

        @staticmethod
        def backward(context: Any, upstream: Any) -> Any:
            (images,) = context.saved_tensors
            found = pulled_back(nhwc(images), tf.constant(upstream.numpy()))
            return torch.from_numpy(np.ascontiguousarray(found.numpy().transpose(0, 3, 1, 2)))

    def nhwc(images: Any) -> Tensor:
        return tf.constant(images.detach().numpy().transpose(0, 2, 3, 1))

    signature = [tf.TensorSpec([None, *x.shape[1:]])]
    logits = tf.function(network, input_signature=signature)

    @tf.function(input_signature=[*signature, tf.TensorSpec([None, None])])
    def pulled_back(images: Tensor, upstream: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            tape.watch(images)
            answer = network(images)
        return tape.gradient(answer, images, upstream)

    class Module(torch.nn.Module):
        """What AutoAttack takes."""

        def forward(self, images: Any) -> Any:
            return Answer.apply(images)

    chosen = {"norm": NORMS[FLAGS.norm], "eps": eps, "version": "standard", "seed": 0}
    images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    attack = AutoAttack(Module(), **chosen)
    found = attack.run_standard_evaluation(images, torch.from_numpy(y), batch_size=len(x))
    adversarial = found[0] if isinstance(found, tuple) else found
    with torch.no_grad():
        return (Module()(adversarial).argmax(1).numpy()) == y


def ours(network: LogitsFn, x: Array, y: Array, eps: float, budget: str) -> Array:
    """The same after an evaluation of ours."""
    options = {"batch_size": FLAGS.batch_size, "norm": float(FLAGS.norm)}
    report = evaluate(network, x, y, eps, budget, **options)  # type: ignore[arg-type]
    return np.array([name is None for name in report.first_broken_by])


def measured(
    run: Callable[[LogitsFn], Array], network: LogitsFn, count: int
) -> tuple[Array, dict[str, Any]]:
    """What it leaves, and the row of its cost; the checks of an evaluation are part of it."""
    counted, started = Counted(network), time.process_time()
    left = run(counted)
    passes = [round(number / count) for number in counted.passes]
    seconds = round(time.process_time() - started)
    return left, {"left": float(left.mean()), "passes": passes, "seconds": seconds}


def compare(network: keras.Model, x: Array, y: Array, eps: float) -> dict[str, Any]:
    """One row: AutoAttack and each of the budgets."""
    logits_fn = ModelAccess.of(network).logits
    clean = np.asarray(logits_fn(tf.constant(x))).argmax(1) == y
    row: dict[str, Any] = {"eps": eps, "images": len(x), "clean": float(clean.mean())}
    if FLAGS.reference:
        peer = read_arrays(pathlib.Path(FLAGS.reference), "give AutoAttack's outcome")["final"]
        if len(peer) < len(x):
            raise InputError(f"--reference has {len(peer)} images, --num_images is {len(x)}")
        peer, row["AutoAttack"] = peer[: len(x)], {"left": float(peer[: len(x)].mean())}
    else:
        attack = lambda counted: autoattack(counted, x, y, eps)  # noqa: E731
        peer, row["AutoAttack"] = measured(attack, logits_fn, len(x))
    for budget in FLAGS.budgets:
        run = lambda counted, budget=budget: ours(counted, x, y, eps, budget)  # noqa: E731
        left, row[budget] = measured(run, logits_fn, len(x))
        row[budget] |= {"only AutoAttack": int(np.sum(left & ~peer))}
        row[budget] |= {"only ours": int(np.sum(peer & ~left))}
    return row


def cells(row: dict[str, Any], budgets: Sequence[str]) -> list[str]:
    """A row of the table under `heading`."""
    found = [f"{row['eps']:g}, {row['images']}", f"{row['clean']:.3f}", _cell(row["AutoAttack"])]
    for budget in budgets:
        one = row[budget]
        found += [_cell(one), f"{one['only AutoAttack']} / {one['only ours']}"]
    return found


def heading(budgets: Sequence[str]) -> list[str]:
    """The table's first line."""
    names = [name for budget in budgets for name in (budget, "broken by AutoAttack / ours alone")]
    return ["ε, images", "clean", "AutoAttack", *names]


def _cell(one: dict[str, Any]) -> str:
    if "passes" not in one:
        return f"{one['left']:.3f}"
    forward, backward = one["passes"]
    return f"**{one['left']:.3f}**, {forward}/{backward} passes, {one['seconds']} s"


def main(arguments: Sequence[str]) -> None:
    """Print a markdown table, a row for each eps."""
    if arguments or not FLAGS.network:
        raise InputError(f"expected --network FILE and other flags only, got {list(arguments)}")
    if unknown := set(FLAGS.budgets) - set(BUDGETS):
        raise InputError(f"--budgets must be of {', '.join(BUDGETS)}, got {', '.join(unknown)}")
    network = read_keras(pathlib.Path(FLAGS.network))
    test = datasets.load(FLAGS.data, FLAGS.data_dir).test.first(FLAGS.num_images)
    names = heading(FLAGS.budgets)
    print("| " + " | ".join(names) + " |\n" + "| --- " * len(names) + "|", flush=True)
    rows = []
    for eps in FLAGS.eps:
        rows.append(compare(network, test.pixels, test.labels, float(eps)))
        print("| " + " | ".join(cells(rows[-1], FLAGS.budgets)) + " |", flush=True)
    if FLAGS.out:
        write_json(pathlib.Path(FLAGS.out), {"rows": rows, "provenance": results.provenance()})


if __name__ == "__main__":
    app.run(main, define_flags)
