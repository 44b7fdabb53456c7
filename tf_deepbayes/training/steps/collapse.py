"""Collapse: z says nothing of x, and training stays where it is.

At first z is noise, and log p(z|·) − log q(z|x,y) is best where neither depends on x: the features
go to zero, their ReLUs die, and no gradient brings them back. A decoder dies of steps that are too
long: it gives one image whatever z and y are, and gradients through it are next to nothing.
"""

import math

import keras

from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.layers.networks import Decoder

FEATURES, DECODER = "gradient of features", "gradient of decoder"
FIRST_STEPS = 1000  # before them, little is only a beginning
LEAVES_CHANCE = 0.01  # share of log C by which log p(y|·) exceeds log 1/C
USUAL_WARM_UP = 1000
# Nats per unit of bias. A decoder that learns has hundredths or tenths, also after 100 epochs, and
# 1e-5 only in its first steps; one that died on MNIST digits at a learning rate of 5e-4 had 3e-5.
DECODER_LEARNS = 1e-3
FEW_STEPS = 100  # before them, an epoch is too short to say anything of the features


def watched(classifier: LatentClassifier) -> dict[str, list[keras.Variable]]:
    """Biases that get no gradient through dead ReLUs: the features' last, the decoder's first."""
    layers = classifier.conditionals()
    networks = [layer.features for layer in layers if layer.features]
    decoders = [layer.network for layer in layers if isinstance(layer.network, Decoder)]
    biases = {
        FEATURES: [network.trainable_variables[-1] for network in networks if network.weights],
        DECODER: [decoder.stack.dense[0].bias for decoder in decoders],
    }
    return {name: found for name, found in biases.items() if found}


def warning_of(
    log_p_y: float | None,
    feature_gradient: float,
    decoder_gradient: float,
    num_classes: int,
    steps: int,
    kl_warm_up: int,
) -> str | None:
    """What is wrong after an epoch, in one line that names the flag; None if nothing is.

    Three signs: the features had no gradient in any step of the epoch; the decoder had almost none
    after 1,000 steps; log p(y|·), which the bound of a model without p(x|·) does not exceed, stays
    at log 1/C after 1,000 steps, and twice those of the warm-up.

    Args:
        log_p_y: mean log p(y|·) of the epoch; None for models with p(x|·).
        feature_gradient: mean over the steps of the largest gradient of a features network.
        decoder_gradient: the same of the decoder's first bias; any of 1 or more without a decoder.
        num_classes: C.
        steps: optimizer steps done.
        kl_warm_up: steps of the warm-up.
    """
    over = steps >= max(FIRST_STEPS, 2 * kl_warm_up)
    chance = -math.log(num_classes)
    if feature_gradient == 0.0 and steps >= FEW_STEPS:
        sign = "the gradient of the features was exactly zero for a whole epoch"
    elif decoder_gradient < DECODER_LEARNS and steps >= FIRST_STEPS:
        return (
            "training has collapsed: the decoder has almost no gradient, so that p(x|.) is the "
            "same for every z and y; train again with a lower --learning_rate and another --out"
        )
    elif over and log_p_y is not None and log_p_y < (1.0 - LEAVES_CHANCE) * chance:
        sign = f"the bound stays at log 1/C = {chance:.3f} (log p(y|.) is {log_p_y:.3f})"
    else:
        return None
    how = f"a --kl_warm_up above {kl_warm_up}" if kl_warm_up else f"--kl_warm_up {USUAL_WARM_UP}"
    return (
        f"training has collapsed: {sign}, so that z says nothing of x and the classifier stays at "
        f"chance; train again with {how} and another --out"
    )
