"""Training: a loss minimised by Adam; resumed runs are bit-identical."""

from tf_deepbayes.training.minibatches import batches
from tf_deepbayes.training.settings import TrainingSettings
from tf_deepbayes.training.train import train

__all__ = ["TrainingSettings", "batches", "train"]
