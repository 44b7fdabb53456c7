"""KL warm-up: the latent terms of the bound get their weight little by little.

Training maximises, with w rising linearly from 0 to 1 (Bowman et al. 2016; Sønderby et al. 2016),

    E_q[ log p(y|·) + log p(x|·) + w (log p(z|·) − log q(z|x,y)) ].
"""

import tensorflow as tf

from tf_deepbayes.core.axes import Tensor, Terms

LATENT = ("p(z", "q(z")  # how the names of the weighted factors begin
WEIGHT = "kl_weight"  # its name in `history.csv`


def weight(step: Tensor, steps: int) -> Tensor:
    """w of a step: step / steps, at most 1."""
    return tf.minimum(tf.cast(step, tf.float32) / float(steps), 1.0)


def weighted(terms: Terms, w: Tensor) -> Terms:
    """The terms with log p(z|·) and −log q(z|x,y) times w."""
    return {name: w * t if name.startswith(LATENT) else t for name, t in terms.items()}
