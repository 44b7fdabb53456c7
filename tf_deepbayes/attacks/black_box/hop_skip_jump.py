"""A hard-label attack: it sees only the predicted class."""

import dataclasses
import warnings
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from tf_deepbayes.attacks.ball import image_seeds
from tf_deepbayes.attacks.base import Attack
from tf_deepbayes.attacks.black_box.boundary_search import BoundarySearch
from tf_deepbayes.attacks.tracing import compiled_per_function
from tf_deepbayes.core.axes import ArrayLike, LogitsFn, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_count, check_pixels


@dataclasses.dataclass(frozen=True)
class HopSkipJump(Attack):
    """HopSkipJump: walk along the decision boundary towards x, seeing argmax(logits) only.

    It starts from the nearest random image of another class (targeted: of the target) and repeats:
    bisect towards x up to the boundary; estimate the boundary's normal from decisions at random
    points nearby; step along it. The walk minimises the distance and ignores eps: its result is
    returned if it lies in the ball and projected onto the ball if not.

    At its boundary, a classifier that samples errs in half of the draws. Of five images in
    the direction found, from the closest to one on the ball's surface, it returns the one that
    succeeds in most of 20 draws: the closest, if all always succeed. Noisy decisions also hide the
    normal: where clean predictions change between draws, far more `initial_samples` are needed,
    and a low success rate says little.

    x is returned if it is already misclassified (targeted: has the target), and, with a warning,
    if no starting point has the class sought.

    Attributes:
        nb_iter: iterations. 50 take about 25,000 points for the normals, the paper's budget.
        initial_samples: points for the first normal; √t times as many in iteration t.
        norm: norm of the distance to minimise and of the ball, np.inf or 2.
        votes: draws of the classifier per decision of a bisection or step; the majority counts.
        seed: seed of the starts and directions; each image has its own.
        starting_points: images `[M, H, W, channels]` to start from in addition to random ones,
            such as training images: random ones seldom have a given target class.
    """

    name: ClassVar[str] = "boundary"
    nb_iter: int = 50
    initial_samples: int = 100
    norm: float = np.inf
    votes: int = 5
    seed: int = 0
    starting_points: ArrayLike = dataclasses.field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("nb_iter", "initial_samples", "votes"):
            check_count(name, getattr(self, name))
        if self.starting_points is not None:
            check_pixels(self.starting_points)

    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        rule = WalkRule(self.norm, self.targeted, max(1, self.batch_size // x.shape[0]))
        sizes = WalkSizes(
            tf.constant(eps, tf.float32),
            tf.constant(self.nb_iter),
            tf.constant(self.initial_samples, tf.float32),
            tf.constant(self.votes),
        )
        seeds, points = image_seeds(x, self.seed), self._points(x.shape[1:])
        image, started = _attack(rule, sizes, logits_fn, x, y, seeds, points)
        if not tf.reduce_all(started):
            warnings.warn(
                f"no starting point has the class sought for {np.mean(~started.numpy()):.1%} of a "
                "batch: these images come back unattacked; give more starting_points",
                stacklevel=3,
            )
        return image

    def _points(self, shape: tf.TensorShape) -> Tensor:
        if self.starting_points is None:
            return tf.zeros([0, *shape])
        points = check_pixels(self.starting_points)
        if points.shape[1:] != tuple(shape):
            raise InputError(
                f"starting_points must be images like x, of shape {list(shape)}, got "
                f"{list(points.shape[1:])}"
            )
        return tf.constant(points)


class WalkRule(NamedTuple):
    """What is sought, and samples of an image per call. New values mean a new trace."""

    norm: float
    targeted: bool
    at_once: int


class WalkSizes(NamedTuple):
    """The numbers of a walk. Tensors: new values need no new trace."""

    eps: Tensor
    nb_iter: Tensor
    initial_samples: Tensor
    votes: Tensor


@compiled_per_function(2)
def _attack(  # type: ignore[no-untyped-def]
    rule: WalkRule, sizes: WalkSizes, logits_fn: LogitsFn, x, y, seeds, starting_points
):
    """The attack on one batch."""

    @tf.function(autograph=False)  # one trace for all callers
    def sought(image: Tensor, labels: Tensor) -> Tensor:
        same = tf.argmax(logits_fn(image), axis=1) == labels
        return tf.reshape(same if rule.targeted else ~same, [image.shape[0], 1, 1, 1])

    search = BoundarySearch(
        sought, rule.norm, rule.at_once, x, y, seeds, sizes.votes, starting_points
    )
    start, distance = search.start()
    found = search.walk(start, sizes.nb_iter, sizes.initial_samples)
    return search.most_often_sought(found, sizes.eps), tf.math.is_finite(distance)
