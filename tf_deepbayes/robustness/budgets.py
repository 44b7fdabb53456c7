"""The amount of work in a robustness evaluation."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Budget:
    """Sizes of the attacks; 0 leaves one out.

    Attributes:
        nb_iter: steps of PGD, Superwhite and Matching; the checks use a quarter and 2.5 times it.
        restarts: random starts of PGD on log odds.
        momentum_iter: steps of MIM.
        cw_iter: steps of the Carlini-Wagner attack.
        square_iter: queries of the Square attack.
        noise_iter: draws of random noise that gradients have to beat.
        snapshot: whether to attack every sample (WB+S).
        pool_size: training images that Matching chooses from.
        draws: draws of the classifier's noise used to choose each image's worst attack.
    """

    nb_iter: int
    restarts: int
    momentum_iter: int
    cw_iter: int
    square_iter: int
    noise_iter: int
    snapshot: bool
    pool_size: int
    draws: int


# Calls and gradients per image for a classifier that samples, with half of the images in the
# checks: about 90, 400 and 7,000. A decoder model does 40 to 60 of them a second on two cores.
BUDGETS = {
    "quick": Budget(6, 1, 0, 0, 6, 3, False, 0, 2),
    "standard": Budget(20, 2, 20, 30, 40, 10, True, 200, 3),
    "full": Budget(100, 5, 100, 1000, 2000, 100, True, 1000, 10),
}
