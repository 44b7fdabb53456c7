"""Images from a generative classifier: reconstructions and class-conditional samples."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_deepbayes.core.axes import Array, ArrayLike, Tensor
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.core.validation import check_inputs, check_labels
from tf_deepbayes.models.classifier import LatentClassifier


def _check_generative(model: LatentClassifier) -> None:
    if not model.has_p_x:
        raise InputError(
            f"{type(model).__name__} has no p(x|·), so it makes no images; use a generative model"
        )


def mean_images(model: LatentClassifier, z: Tensor, y: Tensor) -> Tensor:
    """Mean image of p(x|z) or p(x|z,y): z `[..., dim_z]`, one-hot y `[..., C]`."""
    decoder = model.p_x_zy(z, y) if hasattr(model, "p_x_zy") else model.p_x_z(z)
    return model.likelihood.picture(decoder)


def reconstruct(model: LatentClassifier, x: ArrayLike, y: ArrayLike) -> Array:
    """Mean of p(x|z, y) at the mean of q(z|x, y): `[B, H, W, channels]` in pixels."""
    _check_generative(model)
    x = check_inputs(x, model.architecture.input_shape)
    labels = check_labels(y, model.architecture.num_classes, x.shape[0])
    if not len(labels):
        return np.zeros(x.shape, np.float32)
    return reconstructions(model, x, tf.one_hot(labels, model.architecture.num_classes)).numpy()


def reconstructions(model: LatentClassifier, x: Tensor, y: Tensor) -> Tensor:
    """`reconstruct` as a graph: x `[B, H, W, channels]`, one-hot y `[B, C]`."""
    q = model.q_z_xy(model.observe(x), y)
    return mean_images(model, q.mean(), y)


def sample(model: LatentClassifier, y: ArrayLike, seed: int = 0, candidates: int = 200) -> Array:
    """One image of p(x|y) for each label, `[B, H, W, channels]`: the mean of p(x|z, y).

    z comes from p(z|y) if the model has it. Otherwise p(z|y) ∝ p(z) p(y|z, ·) is sampled by
    drawing `candidates` from p(z) and choosing one in proportion to the factors of y.
    """
    _check_generative(model)
    labels = check_labels(y, model.architecture.num_classes)
    one_hot = tf.one_hot(labels, model.architecture.num_classes)
    return _sampler(model, candidates)(one_hot, tf.constant(seed, tf.int64)).numpy()


def _sampler(model: LatentClassifier, candidates: int) -> Callable[[Tensor, Tensor], Tensor]:
    """`samples` as one graph, kept by the model and freed with it."""
    kept = model.__dict__.setdefault("_samplers", {})
    if candidates not in kept:
        y = tf.TensorSpec([None, model.architecture.num_classes])
        kept[candidates] = tf.function(
            lambda y, seed: samples(model, y, seed, candidates),
            input_signature=[y, tf.TensorSpec([], tf.int64)],
            autograph=False,
        )
    return kept[candidates]


def samples(model: LatentClassifier, y: Tensor, seed: Tensor, candidates: int = 200) -> Tensor:
    """`sample` as a graph: one-hot y `[B, C]`, int64 seed.

    Image i depends on label i, the seed and i. The images are made one at a time, in the memory of
    one image's candidates.
    """

    def one(index: Tensor) -> Tensor:
        seeds = tf.random.experimental.stateless_fold_in(tf.stack([seed, 0]), index)
        return _sample(model, y[index][None], seeds, candidates)[0]

    spec = tf.TensorSpec(model.architecture.input_shape)
    indices = tf.range(tf.shape(y)[0])
    return tf.map_fn(one, indices, fn_output_signature=spec, parallel_iterations=1)


def _sample(model: LatentClassifier, y: Tensor, seeds: Tensor, candidates: int) -> Tensor:
    """One image for one-hot y `[1, C]`."""
    for_z, for_choice = tf.unstack(tf.random.experimental.stateless_split(seeds, 2))
    prior = model.latent_prior(y).distribution
    noise = tf.random.stateless_normal([candidates, model.architecture.dim_z], for_z)
    z = prior.loc + prior.scale * noise
    log_w = _log_p_y(model, z, tf.repeat(y, candidates, 0))
    chosen = tf.random.stateless_categorical(log_w[None], 1, for_choice)[0]
    return mean_images(model, tf.gather(z, chosen), y)


def _log_p_y(model: LatentClassifier, z: Tensor, y: Tensor) -> Tensor:
    """Sum of the factors of y `[S, C]` at z `[S, dim_z]` and its mean image, `[S]`, nats."""
    observed = model.observe(mean_images(model, z, y))
    terms = model.log_joint(observed, y, z)
    return tf.add_n([term for name, term in terms.items() if name.startswith("p(y")])
