"""Which images a substitute of a run begins with."""

import pathlib

import numpy as np

from tests.models.test_baselines import easy
from tests.small import IMAGES
from tests.training.test_substitutes import settings
from tf_deepbayes.data.datasets import Dataset
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.models.baselines import BNN
from tf_deepbayes.runs import checkpoints
from tf_deepbayes.runs.run import Run
from tf_deepbayes.training.substitute_runs import SubstituteRun, num_seed_images
from tf_deepbayes.training.substitutes import JacobianSettings


def test_a_black_box_substitute_begins_with_the_images_of_the_paper(tmp_path: pathlib.Path) -> None:
    """200 for each class, from the test set; half of a test set that has less than twice those."""
    sizes = {(10, 10_000): 2000, (2, 2000): 400, (10, 1000): 500}
    assert {key: num_seed_images(*key) for key in sizes} == sizes
    queries = [count * 2 ** JacobianSettings().augmentation_rounds for count in (2000, 400)]
    assert queries == [64_000, 12_800]
    test = easy(1500, seed=8)
    data = Dataset("mnist", easy(10), test, "here", sizes=IMAGES)
    config = checkpoints.RunConfig("BNN", "mnist", IMAGES, None, 0, {})
    run = Run(tmp_path / "BNN", config, BNN(IMAGES), Sampling())
    for given, count in ((None, 600), (200, 200)):
        images, compared = SubstituteRun(
            run, settings(1), JacobianSettings(), given
        )._choose_images(data)
        np.testing.assert_array_equal(images, test.images[1500 - count :])
        np.testing.assert_array_equal(compared.images, test.images[: min(1000, 1500 - count)])
