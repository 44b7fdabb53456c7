"""A classifier that nobody holds is freed, and all that was compiled for it."""

import gc
import weakref

import numpy as np
import pytest
from tensorflow.python.framework import func_graph

from tests.small import classifier, images
from tf_deepbayes.attacks import FGSM, PGD, Attack

X, Y = images(4), np.array([0, 1, 2, 0])


def count_graphs() -> int:
    for _ in range(3):  # finalizers free graphs that only the next collection sees
        gc.collect()
    # By type: isinstance follows weak proxies, whose object may be gone.
    return sum(issubclass(type(value), func_graph.FuncGraph) for value in gc.get_objects())


def use_and_drop(name: str, attack: Attack) -> weakref.ref:
    model = classifier(name)
    model.bound(X, Y)
    attack(model.logits, X, Y, 0.1)
    return weakref.ref(model)


@pytest.mark.parametrize("attack", [FGSM(), PGD(nb_iter=1)], ids=["fgsm", "pgd"])
@pytest.mark.parametrize("name", ["GBY", "DFX"])
def test_nothing_is_left_of_models_that_were_attacked(name: str, attack: Attack) -> None:
    use_and_drop(name, attack)
    after_one = count_graphs()
    references = [use_and_drop(name, attack) for _ in range(3)]
    after_four = count_graphs()
    assert not any(reference() for reference in references)
    # TensorFlow keeps a graph of the gradient of a loop; a model has about twenty.
    assert after_four <= after_one + 2 * len(references)
