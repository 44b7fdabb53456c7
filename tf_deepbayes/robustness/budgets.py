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
        ranks: likeliest other classes attacked one by one, where the classifier does not sample;
            MIM and Carlini-Wagner, which break nothing more there, are left out in return.
        network_queries: queries of the Square attack there.
        survivors: attack there only the images that no earlier attack broke.
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
    ranks: int = 0
    network_queries: int = 0
    survivors: bool = False


# Sizes that only matter where the classifier does not sample.
OF_NETWORKS = ("ranks", "network_queries", "survivors")

# Calls and gradients per image for a classifier that samples, with half of the images in the
# checks: about 90, 400 and 7,000. A decoder model does 40 to 60 of them a second on two cores.
# A network that does not sample: 12, 120 and at most 1400 gradients, and its queries.
BUDGETS = {
    "quick": Budget(6, 1, 0, 0, 6, 3, False, 0, 2, ranks=0, network_queries=6),
    "standard": Budget(20, 2, 20, 30, 40, 10, True, 200, 3, ranks=3, network_queries=100),
    "full": Budget(100, 5, 100, 1000, 2000, 100, True, 1000, 10, 9, 5000, survivors=True),
}
