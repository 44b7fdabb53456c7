"""Training steps for a classifier: one for `compile` and `fit`, many per call for `train`.

The noise of a step is a function of (seed, step), so a resumed run repeats it. It is drawn for the
whole batch and then split, so the step is the same on one device and on several.
"""

import abc
from collections.abc import Iterable, Mapping, Sequence

import keras
import tensorflow as tf

from tf_deepbayes.core.axes import Tensor, Terms, log_mean_exp
from tf_deepbayes.models.baselines import Baseline
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.training.minibatches import Batches, ReplicaRows
from tf_deepbayes.training.steps import collapse, warm_up
from tf_deepbayes.training.strategies import strategy_of

NOT_WATCHED: Mapping[str, Sequence[keras.Variable]] = {}


class Trainer(keras.Model, abc.ABC):
    """Adam on a loss, with running means that are reset every epoch.

    Must be created in the scope of the classifier's strategy, see `strategy_of`.

    Args:
        names: names of the running means besides the objective.
        jit_compile: compile loss and gradients with XLA; noise and update stay outside.
        watched: variables by name; the smallest of their max |gradient| is a running mean too, that
            no log shows.

    Attributes:
        objective: name of the running mean that training optimises.
    """

    objective: str

    def __init__(
        self,
        classifier: keras.Model,
        seed: int,
        names: Iterable[str],
        jit_compile: bool,
        watched: Mapping[str, Sequence[keras.Variable]] = NOT_WATCHED,
    ) -> None:
        super().__init__(name="trainer")
        self.classifier, self.noise_seed = classifier, seed
        names = [self.objective, *names, *watched]
        self.trackers = {name: keras.metrics.Mean(name) for name in names}
        numbers = {id(v): number for number, v in enumerate(classifier.trainable_variables)}
        self.watched = {name: [numbers[id(v)] for v in few] for name, few in watched.items()}
        self.built = True
        self._gradients = self.loss_and_gradients
        if jit_compile:
            self._gradients = tf.function(self.loss_and_gradients, jit_compile=True)

    @abc.abstractmethod
    def draw(self, count: int | Tensor) -> list[Tensor]:
        """What a step needs besides its `count` images: noise, and what depends on the step."""

    @abc.abstractmethod
    def cut(self, noise: list[Tensor], part: ReplicaRows) -> list[Tensor]:
        """The noise for one replica's rows of the batch."""

    @abc.abstractmethod
    def loss_fn(self, x: Tensor, y: Tensor, noise: list[Tensor]) -> tuple[Tensor, Terms]:
        """The mean loss of images `[B, …]` with label rows `[B, C]`, and values to track."""

    @abc.abstractmethod
    def warning(self) -> str | None:
        """What is wrong with the training, by the running means of an epoch; None if nothing is."""

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Running means of the objective and the other tracked values."""
        return list(self.trackers.values())

    def seeds(self) -> Tensor:
        """The noise seeds of this step, `[2]`."""
        return tf.stack([self.noise_seed, tf.cast(self.optimizer.iterations, tf.int64)])

    def train_step(self, data: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """One Adam step on images `[B, …]` in [0, 1] and label rows, with seeded noise."""
        x, y = data
        self.descend(x, y, self.draw(tf.shape(x)[0]))
        return self.results()

    def descend(
        self, x: Tensor, y: Tensor, noise: list[Tensor], share: float = 1.0
    ) -> tuple[Tensor, list[Tensor]]:
        """One optimizer step → the loss and its gradients, both times the `share` of the batch.

        Several devices together descend on the sum over their shares.
        """
        loss, gradients, tracked = self._gradients(x, y, noise, share)
        self.optimizer.apply(gradients, self.classifier.trainable_variables)
        for name, values in tracked.items():
            self.trackers[name].update_state(tf.reshape(values, [-1]))
        return loss, gradients

    def results(self) -> dict[str, Tensor]:
        """The running means by name, as shown by `fit`."""
        shown = {
            name: tracker for name, tracker in self.trackers.items() if name not in self.watched
        }
        return {name: tracker.result() for name, tracker in shown.items()}

    def loss_and_gradients(
        self, x: Tensor, y: Tensor, noise: list[Tensor], share: float = 1.0
    ) -> tuple[Tensor, list[Tensor], Terms]:
        """(loss, its gradients, values to track), the first two times the `share` of the batch."""
        with tf.GradientTape() as tape:
            loss, tracked = self.loss_fn(x, y, noise)
            loss = loss if share == 1.0 else share * loss
        gradients = tape.gradient(loss, self.classifier.trainable_variables)
        for name, numbers in self.watched.items():
            largest = [tf.reduce_max(tf.abs(gradients[number])) for number in numbers]
            tracked = {**tracked, name: tf.reduce_min(largest)}
        return loss, gradients, tracked


class Steps:
    """Many training steps in one call, each on every device of the classifier's strategy."""

    def __init__(self, trainer: Trainer, batches: Batches) -> None:
        self.trainer, self.batches = trainer, batches
        self.strategy = strategy_of(trainer.classifier)
        rows = tf.TensorSpec([None, batches.batch_size], tf.int32)
        self.run = tf.function(self._run, input_signature=[rows], autograph=False)

    def _run(self, rows: Tensor) -> None:
        """A step for each row of `[steps, batch_size]` image numbers."""

        def body(index: Tensor) -> Tensor:
            self.strategy.run(self._step, (rows[index],))
            return index + 1

        total = tf.shape(rows)[0]
        tf.while_loop(lambda index: index < total, body, [0], parallel_iterations=1)

    def _step(self, rows: Tensor) -> None:
        """One device's part of a step."""
        part = ReplicaRows.of_replica(self.batches.batch_size)
        x, y = self.batches.take(rows[part.start : part.stop])
        noise = self.trainer.cut(self.trainer.draw(part.total), part)
        self.trainer.descend(x, y, noise, part.share)


class BoundTrainer(Trainer):
    """Training steps on −mean(bound) of a deep Bayes classifier.

    Args:
        num_samples: K.
        beta: the published beta.
        kl_warm_up: steps over which the weight w of the latent terms rises (`steps.warm_up`). The
            running mean `bound` is always the bound itself (w = 1), `kl_weight` is w.
    """

    objective = "bound"

    def __init__(
        self,
        classifier: LatentClassifier,
        num_samples: int = 1,
        beta: float = 1.0,
        seed: int = 0,
        jit_compile: bool = False,
        kl_warm_up: int = 0,
    ) -> None:
        architecture = classifier.architecture
        blank = tf.zeros([1, *architecture.input_shape])
        label = tf.one_hot([0], architecture.num_classes)
        terms = classifier.bound_terms(blank, label, tf.zeros([1, 1, 1, architecture.dim_z]))
        names = [*terms, *([warm_up.WEIGHT] if kl_warm_up else [])]
        super().__init__(classifier, seed, names, jit_compile, collapse.watched(classifier))
        self.num_samples, self.beta, self.kl_warm_up = num_samples, beta, kl_warm_up

    def draw(self, count: int | Tensor) -> list[Tensor]:
        """Standard normal `[K, 1, B, dim_z]`, and w during a warm-up."""
        shape = [self.num_samples, 1, count, self.classifier.architecture.dim_z]
        noise = tf.random.stateless_normal(shape, self.seeds())
        if not self.kl_warm_up:
            return [noise]
        return [noise, warm_up.weight(self.optimizer.iterations, self.kl_warm_up)]

    def cut(self, noise: list[Tensor], part: ReplicaRows) -> list[Tensor]:
        return [noise[0][:, :, part.start : part.stop], *noise[1:]]

    def update(self, x: Tensor, y: Tensor, noise: Tensor) -> tuple[Tensor, list[Tensor]]:
        """One optimizer step with noise `[K, 1, B, dim_z]` → the loss and its gradients."""
        return self.descend(x, y, [noise])

    def loss_fn(self, x: Tensor, y: Tensor, noise: list[Tensor]) -> tuple[Tensor, Terms]:
        terms = self.classifier.bound_terms(x, y, noise[0])
        bound = self._bound(terms)
        tracked = {"bound": bound, **terms}
        if not self.kl_warm_up:
            return -tf.reduce_mean(bound), tracked
        w = noise[1]
        weighted = self._bound(warm_up.weighted(terms, w))
        return -tf.reduce_mean(weighted), {**tracked, warm_up.WEIGHT: w}

    def warning(self) -> str | None:
        """See `steps.collapse`."""
        values = {name: float(tracker.result()) for name, tracker in self.trackers.items()}
        model = self.classifier
        return collapse.warning_of(
            log_p_y=None if model.has_p_x else values[model.label_factor],
            feature_gradient=values.get(collapse.FEATURES, 1.0),
            decoder_gradient=values.get(collapse.DECODER, 1.0),
            num_classes=model.architecture.num_classes,
            steps=int(self.optimizer.iterations.numpy()),
            kl_warm_up=self.kl_warm_up,
        )

    def _bound(self, terms: Terms) -> Tensor:
        return log_mean_exp(self.classifier.log_weight(terms, self.beta), 0)


class CrossEntropyTrainer(Trainer):
    """Training steps on mean_B[−Σ_c y_c log p(y_c|x)] of a baseline, with one dropout pass."""

    objective = "cross_entropy"

    def __init__(self, classifier: Baseline, seed: int = 0, jit_compile: bool = False) -> None:
        super().__init__(classifier, seed, ["accuracy"], jit_compile)

    def draw(self, count: int | Tensor) -> list[Tensor]:
        """Dropout masks `[B, inputs]` of each dense layer; none without dropout."""
        return self.classifier.head.masks(count, self.seeds())

    def cut(self, noise: list[Tensor], part: ReplicaRows) -> list[Tensor]:
        return [masks[part.start : part.stop] for masks in noise]

    def loss_fn(self, x: Tensor, y: Tensor, noise: list[Tensor]) -> tuple[Tensor, Terms]:
        logits = self.classifier.masked_pass(x, noise)
        losses = tf.nn.softmax_cross_entropy_with_logits(y, logits)
        right = tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1))
        tracked = {"cross_entropy": losses, "accuracy": tf.cast(right, tf.float32)}
        return tf.reduce_mean(losses), tracked

    def warning(self) -> str | None:
        return None
