"""Collapse: z says nothing of x, and training stays at chance.

At first z is noise, and log p(z|·) − log q(z|x,y) is best where neither depends on x: the features
go to zero, their ReLUs die, and no gradient brings them back.
"""

import math

# Before so many steps a bound near chance is only a beginning.
FIRST_STEPS = 1000
AT_CHANCE = 0.01  # share of log C
USUAL_WARM_UP = 1000


def warning_of(
    bound: float, feature_gradient: float, chance: int | None, steps: int, kl_warm_up: int
) -> str | None:
    """What is wrong after an epoch, in one line that names the flag; None if nothing is.

    Two signs: the features had no gradient in any step of the epoch; the bound was within 1% of
    log 1/C after 1,000 steps, and twice those of the warm-up.

    Args:
        bound: mean of the epoch.
        feature_gradient: mean over the steps of the largest gradient of a features network.
        chance: C, whose log 1/C the bound has at chance; None for models with p(x|·).
        steps: optimizer steps done.
        kl_warm_up: steps of the warm-up.
    """
    at_chance = chance is not None and abs(bound / math.log(chance) + 1.0) < AT_CHANCE
    if feature_gradient == 0.0:
        sign = "the gradient of the features was exactly zero for a whole epoch"
    elif at_chance and steps >= max(FIRST_STEPS, 2 * kl_warm_up):
        sign = f"the bound stays at log 1/C ({bound:.3f})"
    else:
        return None
    how = f"a --kl_warm_up above {kl_warm_up}" if kl_warm_up else f"--kl_warm_up {USUAL_WARM_UP}"
    return (
        f"training has collapsed: {sign}, so that z says nothing of x and the classifier stays at "
        f"chance; train again with {how} and another --out"
    )
