"""Any classifier by name: the seven factorisations and the baselines."""

from typing import TypeAlias

from tf_deepbayes.core.architecture import Architecture
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.models.baselines import BASELINES, Baseline
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.factorisations import FACTORISATIONS

Classifier: TypeAlias = LatentClassifier | Baseline
NAMES = (*FACTORISATIONS, *BASELINES)


def check_name(name: str) -> str:
    """The given name; InputError when no model has it."""
    if name not in NAMES:
        raise InputError(f"unknown model {name!r}; choose one of {', '.join(NAMES)}")
    return name


def published_sizes(name: str, architecture: Architecture) -> Architecture:
    """The sizes a classifier is trained with, from those of the deep Bayes classifiers there."""
    return BASELINES[name].published_sizes(architecture) if name in BASELINES else architecture


def build(
    name: str, architecture: Architecture, likelihood: str | None = None, seed: int = 0
) -> Classifier:
    """A new classifier with the seed's initial weights; a baseline has no likelihood."""
    if check_name(name) in BASELINES:
        return BASELINES[name](architecture, seed=seed)
    return FACTORISATIONS[name](architecture, likelihood or "l2", seed)
