"""The l2 attack of Carlini and Wagner (2017) as one compiled graph.

The version in cleverhans 4 has bugs that make it return its input; this is the published algorithm.
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from tf_deepbayes.attacks.adam import adam
from tf_deepbayes.attacks.base import Attack, number_text
from tf_deepbayes.attacks.losses import margin
from tf_deepbayes.attacks.tracing import compiled_per_function
from tf_deepbayes.attacks.white_box.lazy_logits import StepLogits, step_logits_of
from tf_deepbayes.core.axes import LogitsFn, Tensor
from tf_deepbayes.core.validation import check_count, check_positive

# Keeps arctanh finite: saturated pixels sit at ±7.25 and hardly move, as published.
INTERIOR = 0.999999
FOUND_NONE, UNBOUNDED = 1e10, 1e10
# Li et al. 2019, appendix E: (largest c, learning rate). The paper has no c between 10 and 100, nor
# between 100 and 1000; there it is the rate of the next larger one.
BY_C = "by_c"
RATES = ((10.0, 0.01), (100.0, 0.03), (float("inf"), 0.1))


@dataclasses.dataclass(frozen=True)
class CarliniWagnerL2(Attack):
    """min ‖x′ − x‖² + c · max(0, confidence − margin), x′ = (tanh w + 1) / 2, by Adam on w.

    The margin is positive if x′ is misclassified (targeted: reaches the target). Every step's image
    is judged by that step's logits, and the closest successful one is returned, or x itself if none
    succeeded. `eps` of the call is c, as in the published script, not a bound: the perturbation may
    have any size.

    Attributes:
        nb_iter: Adam steps per value of c.
        learning_rate: Adam's learning rate for w; "by_c": the paper's for each c, 0.01 up to
            c = 10, 0.03 up to 100, 0.1 above.
        confidence: nats that the margin has to exceed.
        binary_search_steps: values of c to try; 1 (published) tries only the given one.
        lazy_classes: see `IterativeAttack`.
    """

    name: ClassVar[str] = "cw"
    in_eps_name: ClassVar[tuple[str, ...]] = ("learning_rate",)
    nb_iter: int = 1000
    learning_rate: float | str = 0.01
    confidence: float = 0.0
    binary_search_steps: int = 1
    lazy_classes: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("nb_iter", self.nb_iter)
        check_count("binary_search_steps", self.binary_search_steps)
        check_count("lazy_classes", self.lazy_classes, minimum=0)
        if self.learning_rate != BY_C:
            check_positive("learning_rate", self.learning_rate)  # type: ignore[arg-type]

    def rate(self, eps: float) -> float:
        """The learning rate for that c."""
        if self.learning_rate == BY_C:
            return next(rate for largest, rate in RATES if eps <= largest)
        return float(self.learning_rate)

    def settings_at(self, eps: float) -> dict[str, Any]:
        """See `Attack.settings_at`."""
        return self.settings() | {"learning_rate": self.rate(eps)}

    def eps_name(self, eps: float) -> str:
        """See `Attack.eps_name`."""
        return f"c{number_text(eps, 2)}_lr{number_text(self.rate(eps), 3)}"

    def perturb(self, logits_fn: LogitsFn, x: Tensor, y: Tensor, eps: float) -> Tensor:
        step_logits = step_logits_of(logits_fn, self.lazy_classes)
        sizes = SearchSizes(
            tf.constant(self.nb_iter),
            tf.constant(self.rate(eps), tf.float32),
            tf.constant(self.confidence, tf.float32),
        )
        c = tf.fill([x.shape[0]], tf.constant(eps, tf.float32))
        low, high = tf.zeros_like(c), tf.fill(c.shape, UNBOUNDED)
        best, best_size = x, tf.fill(c.shape, FOUND_NONE)
        for _ in range(self.binary_search_steps):
            image, size = _minimise(self.targeted, sizes, step_logits, x, y, c)
            better = size < best_size
            best = tf.where(better[:, None, None, None], image, best)
            best_size = tf.minimum(size, best_size)
            found = size < FOUND_NONE
            high = tf.where(found, tf.minimum(high, c), high)
            low = tf.where(found, low, tf.maximum(low, c))
            c = tf.where(high < UNBOUNDED, (low + high) / 2.0, c * 10.0)
        return best


class SearchSizes(NamedTuple):
    """The numbers of one search. Tensors: new values need no new trace."""

    nb_iter: Tensor
    learning_rate: Tensor
    confidence: Tensor


@compiled_per_function(2)
def _minimise(  # type: ignore[no-untyped-def]
    targeted: bool, sizes: SearchSizes, step_logits: StepLogits, x, y, c
):
    """The closest successful image and its squared distance, with one c per image."""
    centre = tf.atanh((2.0 * x - 1.0) * INTERIOR)
    origin = (tf.tanh(centre) + 1.0) / 2.0
    axes = list(range(1, x.shape.rank))

    def gradient(i: Tensor, w: Tensor, known: Tensor) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch(w)
            image = (tf.tanh(centre + w) + 1.0) / 2.0
            size = tf.reduce_sum(tf.square(image - origin), axes)
            logits, known = step_logits.step_logits(image, y, i, known)
            lead = tf.ensure_shape(margin(y, logits), y.shape)  # above 0: another class wins
            lead = -lead if targeted else lead
            loss = size + c * tf.nn.relu(sizes.confidence - lead)
        slope = tape.gradient(loss, w, unconnected_gradients="zero")
        return slope, image, size, lead, known

    def step(  # type: ignore[no-untyped-def]
        i, w, m, v, best, best_size, known
    ):
        slope, image, size, lead, known = gradient(i, w, known)
        better = (lead > sizes.confidence) & (size < best_size)
        best = tf.where(better[:, None, None, None], image, best)
        best_size = tf.where(better, size, best_size)
        change, m, v = adam(i, slope, m, v, sizes.learning_rate)
        return i + 1, w + change, m, v, best, best_size, known

    zero = tf.zeros_like(x)
    known = step_logits.known_at_start(origin)
    start = (0, zero, zero, zero, x, tf.fill([tf.shape(x)[0]], FOUND_NONE), known)
    *_, best, best_size, _ = tf.while_loop(
        lambda i, *_: i < sizes.nb_iter, step, start, parallel_iterations=1
    )
    return best, best_size
