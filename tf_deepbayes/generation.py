"""Pictures a generative classifier makes: reconstructions and class-conditional samples."""

import tensorflow as tf

from tf_deepbayes.axes import Array, ArrayLike, Tensor
from tf_deepbayes.classifier import LatentClassifier
from tf_deepbayes.errors import InputError
from tf_deepbayes.validation import check_inputs, check_labels


def _check_generative(model: LatentClassifier) -> None:
    if not model.has_p_x:
        raise InputError(
            f"{type(model).__name__} has no p(x|·), so it makes no images; use a generative model"
        )


def _pictures(model: LatentClassifier, z: Tensor, y: Tensor) -> Tensor:
    """Mean image of p(x|z) or p(x|z,y): z `[..., dim_z]`, one-hot y `[..., C]`."""
    decoder = model.p_x_zy(z, y) if hasattr(model, "p_x_zy") else model.p_x_z(z)
    return model.likelihood.picture(decoder)


def reconstruct(model: LatentClassifier, x: ArrayLike, y: ArrayLike) -> Array:
    """Mean of p(x|z, y) at z = the mean of q(z|x, y): `[B, H, W, channels]` in pixels."""
    _check_generative(model)
    x = check_inputs(x, model.architecture.input_shape)
    labels = check_labels(y, model.architecture.num_classes, x.shape[0])
    one_hot = tf.one_hot(labels, model.architecture.num_classes)
    q = model.q_z_xy(model.observe(x), one_hot)
    return _pictures(model, q.mean(), one_hot).numpy()


def sample(model: LatentClassifier, y: ArrayLike, seed: int = 0, candidates: int = 200) -> Array:
    """One image of p(x|y) for each label, `[B, H, W, channels]`: the mean of p(x|z, y).

    z comes from p(z|y) where the model has it. Elsewhere p(z|y) ∝ p(z) p(y|z, ·), drawn by
    sampling `candidates` from p(z) and choosing one in proportion to the factors of y.
    """
    _check_generative(model)
    labels = check_labels(y, model.architecture.num_classes)
    one_hot = tf.one_hot(labels, model.architecture.num_classes)
    shape = [candidates, len(labels)]
    prior = model.latent_prior(one_hot)
    noise = tf.random.stateless_normal([*shape, model.architecture.dim_z], [seed, 0])
    z = prior.distribution.loc + prior.distribution.scale * noise
    log_w = _log_p_y(model, z, one_hot)
    chosen = tf.random.stateless_categorical(tf.transpose(log_w), 1, [seed, 1])[:, 0]
    z = tf.gather(tf.transpose(z, [1, 0, 2]), chosen, batch_dims=1)
    return _pictures(model, z, one_hot).numpy()


def _log_p_y(model: LatentClassifier, z: Tensor, y: Tensor) -> Tensor:
    """Sum of the factors of y at z `[S, B, dim_z]` and the mean image there, `[S, B]`, nats."""
    flat_z = tf.reshape(z, [-1, z.shape[-1]])
    flat_y = tf.tile(y, [z.shape[0], 1])
    observed = model.observe(_pictures(model, flat_z, flat_y))
    terms = model.log_joint(observed, flat_y, flat_z)
    of_label = [term for name, term in terms.items() if name.startswith("p(y")]
    return tf.reshape(tf.add_n(of_label), z.shape[:2])
