"""Training steps as `train` takes them, on one batch again and again."""

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.axes import Array, Tensor
from tf_deepbayes.data.splits import Split
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.training.minibatches import Batches
from tf_deepbayes.training.steps.adam import PublishedAdam
from tf_deepbayes.training.trainers import BoundTrainer, Steps

BATCH = 50  # images
STEPS = 10  # in one call


def random_images(architecture: Architecture, count: int = BATCH) -> tuple[Array, Array]:
    """Images in [0, 1] and labels."""
    random, shape = np.random.default_rng(0), [count, *architecture.input_shape]
    x = random.uniform(size=shape).astype(np.float32)
    return x, random.integers(architecture.num_classes, size=count)


def trainer_and_steps(
    model: LatentClassifier, x: Array, labels: Array
) -> tuple[BoundTrainer, Steps, Tensor]:
    """(the trainer, its steps, the rows of `STEPS` equal batches), for `BATCH` images."""
    trainer = BoundTrainer(model)
    trainer.compile(PublishedAdam(1e-6))
    trainer.optimizer.build(model.trainable_variables)
    batches = Batches(Split(x, labels), model.architecture.num_classes, BATCH, seed=0)
    return trainer, Steps(trainer, batches), tf.tile(tf.range(BATCH)[None], [STEPS, 1])
