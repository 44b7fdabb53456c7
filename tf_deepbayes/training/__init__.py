"""Training: a loss minimised by Adam; resumed runs are bit-identical."""

from tf_deepbayes.training.minibatches import batches
from tf_deepbayes.training.new_runs import train
from tf_deepbayes.training.settings import TrainingSettings

__all__ = ["TrainingSettings", "batches", "train"]
