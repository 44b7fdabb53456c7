"""What the benchmark counts."""

import functools

import numpy as np
import tensorflow as tf

from benchmark import autoattack, measure, scores
from benchmark.training.operations import CONVOLUTIONS, operations
from benchmark.training.steps import BATCH, random_images, trainer_and_steps
from tests.small import convnet, images
from tf_deepbayes.attacks import PGD
from tf_deepbayes.core.architecture import MNIST
from tf_deepbayes.models.factorisations import DFX


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


def test_operations_of_a_training_step_are_those_that_run() -> None:
    """Three encoders; the gradient of the images, which nobody asks for, is not among them."""
    found = operations(trainer_and_steps(DFX(MNIST), *random_images(MNIST))[0])
    counts = {k: sum(n for o, n in found.items() if o.kind == k) for k in CONVOLUTIONS}
    assert counts == {"Conv2D": 9, "Conv2DBackpropInput": 6, "Conv2DBackpropFilter": 9}
    encoder = 25 * (14 * 14 * 64 + 7 * 7 * 64 * 64 + 4 * 4 * 64 * 64)
    for kind in ("Conv2D", "Conv2DBackpropFilter"):
        flops = sum(o.flops * n for o, n in found.items() if o.kind == kind)
        assert flops == 3 * BATCH * 2 * encoder
    for one in found:
        assert one.alone()().shape == one.output


def test_scores_of_an_attack_name_each_estimator_and_their_difference() -> None:
    one = {"mean": 0.5, "low": 0.4, "high": 0.6}
    row = {"attack": "pgd_eps0.10", "images": 200, "independent": one, "mixture": one}
    row["difference"] = {"mean": 0.0, "low": -0.05, "high": 0.05}
    *_, last = scores.table([row], ["independent", "mixture"]).splitlines()
    text = "0.500 (0.400, 0.600)"
    assert last == f"| pgd_eps0.10 | 200 | {text} | {text} | +0.000 (-0.050, +0.050) |"
