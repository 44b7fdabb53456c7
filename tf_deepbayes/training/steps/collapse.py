"""Collapse: z says nothing of x, and training stays at chance.

At first z is noise, and log p(z|·) − log q(z|x,y) is best where neither depends on x: the features
go to zero, their ReLUs die, and no gradient brings them back.
"""

import math

FIRST_STEPS = 1000  # before them, chance is only a beginning
LEAVES_CHANCE = 0.01  # share of log C by which log p(y|·) exceeds log 1/C
USUAL_WARM_UP = 1000
FEW_STEPS = 100  # before them, an epoch is too short to say anything of the features


def warning_of(
    log_p_y: float | None,
    feature_gradient: float,
    num_classes: int,
    steps: int,
    kl_warm_up: int,
) -> str | None:
    """What is wrong after an epoch, in one line that names the flag; None if nothing is.

    Two signs: the features had no gradient in any step of the epoch; log p(y|·), which the bound
    of a model without p(x|·) does not exceed, stays at log 1/C after 1,000 steps, and twice those
    of the warm-up.

    Args:
        log_p_y: mean log p(y|·) of the epoch; None for models with p(x|·).
        feature_gradient: mean over the steps of the largest gradient of a features network.
        num_classes: C.
        steps: optimizer steps done.
        kl_warm_up: steps of the warm-up.
    """
    over = steps >= max(FIRST_STEPS, 2 * kl_warm_up)
    chance = -math.log(num_classes)
    if feature_gradient == 0.0 and steps >= FEW_STEPS:
        sign = "the gradient of the features was exactly zero for a whole epoch"
    elif over and log_p_y is not None and log_p_y < (1.0 - LEAVES_CHANCE) * chance:
        sign = f"the bound stays at log 1/C = {chance:.3f} (log p(y|.) is {log_p_y:.3f})"
    else:
        return None
    how = f"a --kl_warm_up above {kl_warm_up}" if kl_warm_up else f"--kl_warm_up {USUAL_WARM_UP}"
    return (
        f"training has collapsed: {sign}, so that z says nothing of x and the classifier stays at "
        f"chance; train again with {how} and another --out"
    )
