"""Data sets: where they are found, how they are read, how they are split."""

from tf_deepbayes.data.datasets import TASKS, Dataset, architecture, load
from tf_deepbayes.data.own_data import load_data
from tf_deepbayes.data.splits import Split, to_pixels

__all__ = ["TASKS", "Dataset", "Split", "architecture", "load", "load_data", "to_pixels"]
