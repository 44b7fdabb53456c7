"""What the benchmark counts."""

import functools

from benchmark import measure
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
