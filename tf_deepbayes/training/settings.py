"""Training settings, with the published values as defaults."""

import dataclasses

import numpy as np

from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count

# Settings of the bound, which baselines do not have.
BOUND_SETTINGS = ("num_samples", "beta", "kl_warm_up")
# DBX stays at chance without: z that says nothing of x has a bound of log 1/C.
WARM_UPS = {"DBX": 1000}


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Published settings (Li et al. 2019, appendix): MNIST; `for_data` gives the others.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; an incomplete last batch is dropped, as published.
        learning_rate: Adam's learning rate.
        num_samples: K of the bound; K > 1 is importance weighted. Not for baselines.
        beta: published weighting of the bound; 1 is the evidence bound itself. Not for baselines.
        kl_warm_up: steps over which the weight of log p(z|·) − log q(z|x,y) rises from 0 to 1, see
            `steps.warm_up`; 0 is the published training; None: 1000 for DBX, 0 for the others.
            Not for baselines.
        seed: seed of the initial weights, the order of images and the noise.
        eval_every: epochs between validation accuracies (K = 10, the first 1,000 test images).
    """

    epochs: int = 100
    batch_size: int = 50
    learning_rate: float = 1e-4
    num_samples: int = 1
    beta: float = 1.0
    seed: int = 0
    eval_every: int = 5
    kl_warm_up: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "num_samples", "eval_every"):
            check_count(name, getattr(self, name))
        check_count("seed", self.seed, minimum=0)
        check_count("kl_warm_up", self.warm_up_of(""), minimum=0)
        for name in ("learning_rate", "beta"):
            value = getattr(self, name)
            if not np.isfinite(value) or value <= 0:
                raise InputError(f"{name} must be a finite number above 0, got {value}")

    def warm_up_of(self, model: str) -> int:
        """Steps of the KL warm-up in the training of a model, by its name."""
        if self.kl_warm_up is not None:
            return self.kl_warm_up
        return WARM_UPS.get(model, 0)

    def steps_per_epoch(self, num_images: int) -> int:
        """Number of full batches per epoch; InputError when there is none."""
        if num_images < self.batch_size:
            raise InputError(
                f"batch size {self.batch_size} is more than the {num_images} training images; "
                "make it smaller"
            )
        return num_images // self.batch_size

    def check_devices(self, count: int) -> None:
        """InputError if a batch has fewer images than there are devices."""
        if self.batch_size < count:
            raise InputError(
                f"batch size {self.batch_size} is less than the {count} devices; make it larger or "
                "use fewer devices"
            )

    @classmethod
    def for_data(cls, name: str) -> "TrainingSettings":
        """The published settings for a data set.

        There are none for cifar10 in pixels with ten classes, which has those of MNIST here; those
        of the fusion models on CIFAR-10 are the same.
        """
        if name == "plane_frog":
            return cls(epochs=200, learning_rate=5e-5)
        return cls()
