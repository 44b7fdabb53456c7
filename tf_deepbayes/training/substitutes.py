"""Substitutes for transfer attacks: classifiers trained to answer as a victim does.

Grey-box: distilled, on the victim's probabilities for the training images. Black-box: by queries,
on a few images labelled by the victim and new ones along the substitute's Jacobian (Papernot et
al. 2017, Practical Black-Box Attacks against Machine Learning, algorithm 1). Li et al. 2019,
section 5, attack deep Bayes classifiers with both. The victim is a logits function.
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import PIXEL_MAX, PIXEL_MIN, Array, LogitsFn
from tf_deepbayes.core.errors import InputError, StopRequested
from tf_deepbayes.core.files import PathLike, read_arrays, write_atomically
from tf_deepbayes.core.metrics import accuracy, confidence_interval, padded, predict
from tf_deepbayes.core.progress import progress, stop_requested
from tf_deepbayes.core.validation import check_count
from tf_deepbayes.data.splits import Split, to_pixels
from tf_deepbayes.inference import noise
from tf_deepbayes.models.baselines import Baseline
from tf_deepbayes.training.settings import TrainingSettings
from tf_deepbayes.training.train import train

CHUNK = 1000  # queries between two writes to disk


@dataclasses.dataclass(frozen=True)
class Oracle:
    """A victim to query; its answers are kept on disk, so that no query is repeated.

    Attributes:
        logits_fn: the victim, `[B, …]` → logits `[B, C]`.
        folder: where answers are kept.
        generator: generator of the victim's noise, if any. It is set from (seed, query number), so
            that a resumed run gets the same answers as an uninterrupted one.
        seed: seed of that noise.
        batch_size: images at a time.
        verbose: print a line for each epoch of the substitute.
    """

    logits_fn: LogitsFn
    folder: pathlib.Path
    generator: tf.random.Generator | None = None
    seed: int = 0
    batch_size: int = 100
    verbose: bool = True

    def ask(self, name: str, images: Array, first: int = 0) -> Array:
        """softmax(logits) of images (bytes or pixels in [0, 1]), `[N, C]`, kept as <name>.npz.

        Args:
            first: number of the first query; different numbers have different noise.

        Raises:
            InputError: the file is damaged, or holds answers to more images than these.
        """
        path = self.folder / f"{name}.npz"
        parts = [read_arrays(path, "delete it")["probabilities"]] if path.is_file() else []
        done = sum(map(len, parts))
        if done > len(images):
            raise InputError(f"{path} holds {done} answers to {len(images)} images; delete it")
        starts = range(done, len(images), CHUNK)
        for start in progress(starts, len(starts), "thousands of queries"):
            if stop_requested():
                raise StopRequested(f"{len(parts)} answers are kept in {path}")
            parts.append(self._answer(images[start : start + CHUNK], first + start))
            _write(path, probabilities=np.concatenate(parts))
        return np.concatenate(parts)

    def _answer(self, images: Array, first: int) -> Array:
        if self.generator is not None:
            noise.reseed(self.generator, self.seed, first)
        logits = predict(self.logits_fn, to_pixels(images), self.batch_size)
        return tf.nn.softmax(logits).numpy()


def distil(
    oracle: Oracle,
    substitute: Baseline,
    images: Array,
    validation: Split,
    settings: TrainingSettings,
    folder: PathLike,
) -> int:
    """Train on the victim's probabilities (grey-box): −Σ_c p_victim(c|x) log p(c|x).

    Args:
        images: the training images `[N, …]`, bytes or pixels in [0, 1].
        validation: images with the victim's labels.
        folder: run folder; a stopped run continues from it.

    Returns:
        The number of the victim's answers.
    """
    probabilities = oracle.ask("training", images)
    train(substitute, Split(images, probabilities), validation, settings, folder, oracle.verbose)
    return len(images)


@dataclasses.dataclass(frozen=True)
class JacobianSettings:
    """How the images of a black-box substitute are augmented.

    Attributes:
        augmentation_rounds: times that the images are doubled. The paper's six rounds of training
            double them five times: its 64,000 queries are 2⁵ · 2,000 (Li et al. 2019, section 5).
        step: size λ of a Jacobian step, in pixels.
    """

    augmentation_rounds: int = 5
    step: float = 0.1

    def __post_init__(self) -> None:
        check_count("augmentation_rounds", self.augmentation_rounds, minimum=0)
        if not 0.0 < self.step <= 1.0:
            raise InputError(f"lambda must be above 0 and at most 1, got {self.step}")


def jacobian_step(
    logits_fn: LogitsFn, x: Array, labels: Array, step: float, batch_size: int = 100
) -> Array:
    """clip(x + λ sign ∂logit_y(x)/∂x): move images further into the substitute's class y.

    Args:
        logits_fn: the substitute.
        x: `[N, …]`, pixels in [0, 1].
        labels: the victim's classes y `[N]`.
        step: λ, in pixels.
    """
    moved = []
    pairs = zip(padded(x, batch_size), padded(labels, batch_size), strict=True)
    for (images, count), (label, _) in pairs:
        with tf.GradientTape() as tape:
            tape.watch(images)
            own = tf.gather(logits_fn(images), label, axis=1, batch_dims=1)
        new = images + step * tf.sign(tape.gradient(own, images))
        moved.append(tf.clip_by_value(new, PIXEL_MIN, PIXEL_MAX).numpy()[:count])
    return np.concatenate(moved)


def train_by_queries(
    oracle: Oracle,
    substitute: Baseline,
    images: Array,
    validation: Split,
    settings: TrainingSettings,
    folder: PathLike,
    jacobian: JacobianSettings,
) -> int:
    """Label, train, augment, repeat (black-box); `settings.epochs` in every round.

    Round r trains on 2ʳ times the first images, on the victim's classes alone, and continues from
    the weights of round r − 1. Arguments as for `distil`.

    Returns:
        The number of queries, one per image.
    """
    x, y = to_pixels(images), oracle.ask("round0", images).argmax(1)
    for number in range(jacobian.augmentation_rounds + 1):
        if number:
            new = _augment(oracle.folder / f"images{number}.npz", substitute, x, y, jacobian.step)
            answers = oracle.ask(f"round{number}", new, first=len(x))
            x, y = np.concatenate([x, new]), np.concatenate([y, answers.argmax(1)])
        until = dataclasses.replace(settings, epochs=settings.epochs * (number + 1))
        train(substitute, Split(x, y), validation, until, folder, oracle.verbose)
    return len(x)


def _augment(path: pathlib.Path, substitute: Baseline, x: Array, y: Array, step: float) -> Array:
    """The next round's images, saved because the weights that made them are overwritten."""
    if not path.is_file():
        _write(path, images=jacobian_step(substitute.logits, x, y, step))
    return read_arrays(path, "delete the folder and start again")["images"]


def _write(path: pathlib.Path, **arrays: Any) -> None:
    write_atomically(path, lambda file: np.savez(file, **arrays))


def agreement_figures(
    substitute: Array, victim: Array, victim_again: Array, labels: Array
) -> dict[str, Any]:
    """How well a substitute agrees with its victim, from predicted classes `[N]`.

    Figures: `agreement`, the share of equal classes, with its 95% interval;
    `victim_self_agreement`, the same for two draws of the victim's noise, the reference for
    `agreement`; the accuracies of both.
    """
    share = accuracy(substitute, victim)
    return {
        "num_images": len(labels),
        "agreement": share,
        "agreement_interval": confidence_interval(share, len(labels)),
        "victim_self_agreement": accuracy(victim_again, victim),
        "victim_accuracy": accuracy(victim, labels),
        "substitute_accuracy": accuracy(substitute, labels),
    }
