"""All claims, and their verdicts on the results of a study."""

from collections.abc import Mapping
from functools import partial

import pandas as pd

from tf_deepbayes.study.claims import accuracy, detection
from tf_deepbayes.study.claims.accuracy import ALL, DISCRIMINATIVE, GENERATIVE, against
from tf_deepbayes.study.claims.cells import LINF, Results
from tf_deepbayes.study.claims.paper import PAPER, WORST_BEST
from tf_deepbayes.study.claims.verdicts import Cell, Claim, Untested, Verdict
from tf_deepbayes.study.comparison import met
from tf_deepbayes.study.rows import ADAPTIVE

# Of the later study on Fashion-MNIST (L), and of Tramèr and others 2020 (T).
LATER = (
    Claim(
        "L1",
        "FGSM's success grows with ε for each model on Fashion-MNIST",
        "error rate: each step up",
        "–",
        ("fashion_mnist",),
        ALL,
        ("fgsm",),
        accuracy.l1,
    ),
    Claim(
        "L2",
        "Generative models are fooled far less on Fashion-MNIST",
        WORST_BEST,
        "–",
        ("fashion_mnist",),
        ALL,
        LINF,
        partial(against, data="fashion_mnist", ours=GENERATIVE, others=DISCRIMINATIVE),
    ),
    Claim(
        "L3",
        "The gap between the kinds grows with ε",
        "FGSM: gap at .3 − gap at .1",
        "–",
        ("fashion_mnist",),
        ALL,
        ("fgsm",),
        accuracy.l3,
    ),
    Claim(
        "L4",
        "The gap is larger than on MNIST",
        "FGSM: gap on Fashion-MNIST − on MNIST",
        "–",
        ("fashion_mnist",),
        ALL,
        ("fgsm",),
        accuracy.l4,
    ),
    Claim(
        "L5",
        "PGD and detection are out of a CPU's reach on Fashion-MNIST",
        f"hours of PGD on all models, above {detection.DAYS:g}",
        "5 h; days",
        ("fashion_mnist",),
        ALL,
        ("pgd",),
        detection.l5,
        of_accuracies=False,
    ),
    Claim(
        "T1",
        "Adaptive attacks break the fusion model",
        "success above .5, detected below .5",
        ".978; .118 at 4/255",
        ("cifar10",),
        ("GBZ_mid",),
        ("pgd", *ADAPTIVE),
        detection.t1,
        of_accuracies=False,
    ),
)
CLAIMS = (*PAPER, *LATER)


def verdicts(results: Results, frames: Mapping[str, pd.DataFrame]) -> list[Verdict]:
    """What the results say of each claim.

    Args:
        frames: the comparison of each table by its id, for whether published numbers are met.
    """
    return [verdict_of(claim, results, frames) for claim in CLAIMS]


def verdict_of(claim: Claim, results: Results, frames: Mapping[str, pd.DataFrame]) -> Verdict:
    """What the results say of one claim; see `verdicts`."""
    found = list(claim.find(results))
    tables = [
        frames[table.id]
        for table in results.tables
        if table.data in claim.data and table.attack in claim.attacks
        if table.threat in claim.threats and table.id in frames
    ]
    compared = met(tables if claim.of_accuracies else [], claim.models)
    cells = tuple(cell for cell in found if isinstance(cell, Cell))
    untested = tuple(cell for cell in found if isinstance(cell, Untested))
    return Verdict(claim, cells, untested, compared)
