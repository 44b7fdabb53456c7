"""What the benchmark counts."""

import functools

import numpy as np
import tensorflow as tf

from benchmark import autoattack, measure
from tests.small import convnet, images
from tf_deepbayes.attacks import PGD
from tf_deepbayes.core.architecture import MNIST


def test_operations_of_a_decode() -> None:
    dense = 74 * 500 + 500 * 1024
    transposed = 25 * (4 * 4 * 64 * 64 + 7 * 7 * 64 * 64 + 14 * 14 * 64)
    assert measure.decode_flops(MNIST, num_inputs=74, num_outputs=1) == 2 * (dense + transposed)


def test_medians_are_of_calls_in_turn() -> None:
    calls: list[str] = []
    found = measure.alternate({name: functools.partial(calls.append, name) for name in "ab"}, 2)
    assert calls == list("ab" * 3)
    assert set(found) == {"a", "b"}


def test_passes_of_a_network_are_counted_forward_and_backward() -> None:
    net = convnet()
    counted = autoattack.Counted(net)
    PGD(nb_iter=3, batch_size=4)(counted, images(8, shape=(8, 8, 1)), np.zeros(8, int), 0.1)
    assert counted.passes == (3 * 8, 3 * 8)
    counted(tf.zeros([5, 8, 8, 1]))
    assert counted.passes == (3 * 8 + 5, 3 * 8)


def test_a_row_of_the_comparison_names_who_breaks_what() -> None:
    one = {"left": 0.68, "passes": (257, 141), "seconds": 10}
    both = {"only AutoAttack": 2, "only ours": 1}
    row = {"eps": 0.1, "images": 500, "clean": 0.834, "AutoAttack": {"left": 0.68}}
    cells = autoattack.cells(row | {"standard": one | both}, ["standard"])
    assert cells == [
        *("0.1, 500", "0.834", "0.680", "**0.680**, 257/141 passes, 10 s", "2 / 1"),
    ]
    assert len(autoattack.heading(["standard"])) == len(cells)
