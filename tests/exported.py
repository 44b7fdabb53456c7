"""Small runs to export, and what is compared of them."""

import functools
import pathlib

import numpy as np

from tests.small import IMAGES, classifier, images
from tf_deepbayes.detection import selection
from tf_deepbayes.inference.sampling import Sampling
from tf_deepbayes.models.baselines import BASELINES
from tf_deepbayes.models.registry import Classifier
from tf_deepbayes.runs import checkpoints, detector_files
from tf_deepbayes.runs.detector_files import FitSettings
from tf_deepbayes.runs.run import Run
from tf_deepbayes.runs.state.identity import weights_digest

K, SEED = 5, 3
BYTES = np.random.default_rng(1).integers(0, 256, (7, 28, 28, 1)).astype(np.uint8)
X = BYTES.astype(np.float32) / np.float32(255.0)


@functools.cache
def build(name: str) -> Classifier:
    """One classifier of each name for all tests, traced once; they do not change it."""
    return BASELINES[name](IMAGES, seed=1) if name in BASELINES else classifier(name)


def write_thresholds(path: pathlib.Path, victim: Run) -> None:
    """Detectors fitted on random images."""
    logits = victim.logits_fn(images(60)).numpy()
    fitted = selection.fit_all(logits, np.arange(60) % 3, victim.model.has_p_x, 0.3)
    settings = FitSettings(
        victim.folder.name,
        weights_digest(victim.model),
        num_samples=victim.sampling.num_samples,
        seed=0,
        num_train=60,
        false_positive_rate=0.3,
        threshold="published",
    )
    detector_files.write_detectors(path, victim.config, settings, fitted)


def write_run(folder: pathlib.Path, fitted: bool = True) -> None:
    """A run of the model of that name, untrained; if asked for, with thresholds fitted at K."""
    name = folder.name
    likelihood = None if name in BASELINES else "l2"
    config = checkpoints.RunConfig(name, "mnist_5k", IMAGES, likelihood, 1, {})
    checkpoints.save_config(folder, config)
    checkpoints.save(folder, build(name))
    if fitted:
        write_thresholds(folder / "thresholds.json", load(folder))


def load(folder: pathlib.Path) -> Run:
    """The run as an export takes it."""
    return Run.load(folder, Sampling(K, seed=SEED))
