"""One training step around a classifier, for `compile` and `fit`.

The noise of a step is a function of (seed, step), so that a resumed run repeats it.
"""

from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from tf_deepbayes.axes import Tensor, Terms, log_mean_exp
from tf_deepbayes.baselines import Baseline
from tf_deepbayes.classifier import LatentClassifier


class Trainer(keras.Model):
    """Adam on a loss, with running means that are reset every epoch.

    Attributes:
        objective: name of the running mean that the training moves.
    """

    objective: str

    def __init__(self, classifier: keras.Model, seed: int, names: Iterable[str]) -> None:
        super().__init__(name="trainer")
        self.classifier, self.noise_seed = classifier, seed
        self.trackers = {name: keras.metrics.Mean(name) for name in [self.objective, *names]}
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Running means of the objective and of what else is shown."""
        return list(self.trackers.values())

    def seeds(self) -> Tensor:
        """The noise seeds of this step, `[2]`."""
        return tf.stack([self.noise_seed, tf.cast(self.optimizer.iterations, tf.int64)])

    def descend(self, loss_fn: Callable[[], tuple[Tensor, Terms]]) -> tuple[Tensor, list[Tensor]]:
        """One optimizer step on loss_fn() → (loss, what is tracked): the loss and its gradients."""
        variables = self.classifier.trainable_variables
        with tf.GradientTape() as tape:
            loss, tracked = loss_fn()
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply(gradients, variables)
        for name, values in tracked.items():
            self.trackers[name].update_state(values)
        return loss, gradients

    def results(self) -> dict[str, Tensor]:
        """The running means by name, as `fit` shows them."""
        return {name: tracker.result() for name, tracker in self.trackers.items()}


class BoundTrainer(Trainer):
    """A training step of −mean(bound) of a deep Bayes classifier."""

    objective = "bound"

    def __init__(
        self, classifier: LatentClassifier, num_samples: int = 1, beta: float = 1.0, seed: int = 0
    ) -> None:
        architecture = classifier.architecture
        blank = tf.zeros([1, *architecture.input_shape])
        label = tf.one_hot([0], architecture.num_classes)
        terms = classifier.bound_terms(blank, label, tf.zeros([1, 1, 1, architecture.dim_z]))
        super().__init__(classifier, seed, terms)
        self.num_samples, self.beta = num_samples, beta

    def train_step(self, data: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """One Adam step on images `[B, …]` in [0, 1] and one-hot labels, with seeded noise."""
        x, y = data
        shape = [self.num_samples, 1, tf.shape(x)[0], self.classifier.architecture.dim_z]
        self.update(x, y, tf.random.stateless_normal(shape, self.seeds()))
        return self.results()

    def update(self, x: Tensor, y: Tensor, noise: Tensor) -> tuple[Tensor, list[Tensor]]:
        """One optimizer step with noise `[K, 1, B, dim_z]`: the loss and its gradients."""

        def loss_fn() -> tuple[Tensor, Terms]:
            terms = self.classifier.bound_terms(x, y, noise)
            bound = log_mean_exp(self.classifier.weigh(terms, self.beta), 0)
            loss = -tf.reduce_mean(bound)
            return loss, {"bound": -loss, **terms}

        return self.descend(loss_fn)


class CrossEntropyTrainer(Trainer):
    """A training step of mean_B[−Σ_c y_c log p(y_c|x)] of a baseline, with one dropout pass."""

    objective = "cross_entropy"

    def __init__(self, classifier: Baseline, seed: int = 0) -> None:
        super().__init__(classifier, seed, ["accuracy"])

    def train_step(self, data: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """One Adam step on images `[B, …]` in [0, 1] and one-hot or soft labels `[B, C]`."""
        x, y = data

        def loss_fn() -> tuple[Tensor, Terms]:
            logits = self.classifier.one_pass(x, self.seeds())
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits))
            right = tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1))
            return loss, {"cross_entropy": loss, "accuracy": tf.cast(right, tf.float32)}

        self.descend(loss_fn)
        return self.results()
