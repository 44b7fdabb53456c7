"""The claims, and their verdicts on the results of a study."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from tf_deepbayes.study.claims import access, accuracy, detection
from tf_deepbayes.study.claims.accuracy import DISCRIMINATIVE, GENERATIVE, against
from tf_deepbayes.study.claims.cells import LINF, Results
from tf_deepbayes.study.claims.verdicts import Cell, Claim, Found, Untested, Verdict
from tf_deepbayes.study.comparison import met

ALL = (*GENERATIVE, *DISCRIMINATIVE)


def _against(
    data: str, ours: Sequence[str], others: Sequence[str]
) -> Callable[[Results], Sequence[Found]]:
    return lambda results: list(against(results, data, LINF, ours, others))


WORST_BEST = "accuracy: worst of the four − best of the others; FGSM, PGD, MIM at each ε"
CLAIMS = (
    Claim(
        *("P1", "The four generative models beat DFZ and DFX under ℓ∞ attacks on MNIST"),
        *(WORST_BEST, "PGD .2: .27–.57 against .01"),
        *(("mnist",), (*GENERATIVE, "DFX", "DFZ"), LINF),
        _against("mnist", GENERATIVE, ("DFZ", "DFX")),
    ),
    Claim(
        *("P2", "They beat DBX too", WORST_BEST),
        "not in FGSM (.2: .778 against .745–.803), nor MIM (.3: .197 against .015–.090)",
        *(("mnist",), (*GENERATIVE, "DBX"), LINF),
        _against("mnist", GENERATIVE, ("DBX",)),
    ),
    Claim(
        *("P3", "The four beat all three others on plane_frog", WORST_BEST),
        *("PGD .1: .22–.67 against .00–.01", ("plane_frog",), ALL, LINF),
        _against("plane_frog", GENERATIVE, DISCRIMINATIVE),
    ),
    Claim(
        *("P4", "GBZ is the most robust of the generative models"),
        *("accuracy: GBZ − the best other generative model", "PGD yes; MIM on MNIST no (.3)"),
        *(("mnist", "plane_frog"), GENERATIVE, LINF, accuracy.p4),
    ),
    Claim(
        *("P5", "DFX and DFZ fall to FGSM at ε = .2 on MNIST, DBX does not"),
        *("accuracy below .25; above .5", ".148, .190; .778 (a port: DBX .20)"),
        *(("mnist",), DISCRIMINATIVE, ("fgsm",), accuracy.p5),
    ),
    Claim(
        *("P6", "Fooling a generative model takes a larger perturbation"),
        "mean smallest ε that fools (none: the largest + .1): smallest of the four − largest other",
        *("MNIST PGD .21–.30 against .15–.18", ("mnist", "plane_frog"), ALL, LINF, accuracy.p6),
    ),
    Claim(
        *("P7", "Under CW, GBZ wins on MNIST and all four beat the rest on plane_frog"),
        *("accuracy at each c", "c = 10: .815, other three .286–.327"),
        *(("mnist", "plane_frog"), ALL, ("cw",), accuracy.p7),
    ),
    Claim(
        *("P8", "Marginal and logit detection find attacks at ε ≥ .3 on MNIST"),
        *("detection rate, lower end above .9", "FGSM 1.0; PGD .3: .84–.99"),
        *(("mnist",), ALL, LINF, detection.p8),
    ),
    Claim(
        *("P9", "They miss attacks at ε ≤ .1 on plane_frog"),
        *("detection rate, upper end below .5", "PGD .03–.23"),
        *(("plane_frog",), ALL, LINF, detection.p9),
    ),
    Claim(
        *("P10", "KL detection works for every model"),
        "detection rate on the right rows, lower end above .9",
        ".87–.98 on MNIST, of the wrong rows (docs/study.md)",
        *(("mnist",), ALL, LINF, detection.p10),
    ),
    Claim(
        *("P11", "No gradient masking: grey- and black-box attacks are weaker than white-box ones"),
        "accuracy: transfer − white box, ε ≤ .3 (plane_frog ≤ .1)",
        "text: over .2 (.3); its tables: GBZ, PGD, grey box .199 (.117)",
        *(("mnist", "plane_frog"), ALL, ("pgd", "mim"), access.p11),
    ),
    Claim(
        *("P12", "SPSA is weaker than PGD", "accuracy: SPSA − PGD, ε = .3 (plane_frog .05)"),
        "MNIST .56–.79 against .02–.30",
        *(("mnist", "plane_frog"), ALL, ("spsa", "pgd"), access.p12),
    ),
    Claim(
        *("P13", "No attack breaks the classifier and its detector together"),
        "misclassified and undetected: WB+S − WB+S+M, +L, +K",
        "Table F.5; WB+S beats WB by .14–.22 on GBY, GBZ",
        *(("mnist", "plane_frog"), ("DBX", "GBZ", "GBY"), ("superwhite",), detection.p13),
    ),
    Claim(
        *("P14", "A small bottleneck helps against ℓ∞ attacks"),
        "loss of accuracy with each doubling of dim_z, 16 … 128",
        *("DBX PGD .2: .366 → .030", ("mnist",), ("DBX", "GBZ", "GBY"), LINF, access.p14),
    ),
    Claim(
        *(
            "P15",
            "Attacks transfer within a kind of model, not between kinds; those on DBX nowhere",
        ),
        "transfer accuracy, ε = .3 (plane_frog .1): models of the other kind − of the same; "
        "of attacks on DBX the lowest − .9",
        *("Tables A.4, A.5", ("mnist", "plane_frog"), ALL, ("pgd", "mim"), access.p15),
    ),
    Claim(
        *("P16", "Fusion on CONV9 features beats FC1 features"),
        "accuracy on CIFAR-10: CONV9 − FC1, ε = .01 … .2, for GBZ and GBY",
        *("PGD .02: GBZ .383, .061; VGG16 .006", ("cifar10",), ("GBZ_mid", "GBZ_high"), LINF),
        access.p16,
    ),
    Claim(
        *("P17", "Clean accuracy is above .98 on MNIST and .90 on plane_frog", "clean accuracy"),
        "its own tables: GBZ .974, .894",
        *(("mnist", "plane_frog"), ALL, ("clean",), accuracy.p17),
    ),
    Claim(
        *("L1", "FGSM's success grows with ε for each model on Fashion-MNIST"),
        *("error rate: each step up", "–", ("fashion_mnist",), ALL, ("fgsm",), accuracy.l1),
    ),
    Claim(
        *("L2", "Generative models are fooled far less on Fashion-MNIST", WORST_BEST, "–"),
        *(("fashion_mnist",), ALL, LINF, _against("fashion_mnist", GENERATIVE, DISCRIMINATIVE)),
    ),
    Claim(
        *("L3", "The gap between the kinds grows with ε", "FGSM: gap at .3 − gap at .1", "–"),
        *(("fashion_mnist",), ALL, ("fgsm",), accuracy.l3),
    ),
    Claim(
        *("L4", "The gap is larger than on MNIST", "FGSM: gap on Fashion-MNIST − on MNIST", "–"),
        *(("fashion_mnist",), ALL, ("fgsm",), accuracy.l4),
    ),
    Claim(
        *("L5", "PGD and detection are out of a CPU's reach on Fashion-MNIST"),
        f"hours of PGD on all models, above {detection.DAYS:g}",
        *("5 h; days", ("fashion_mnist",), ALL, ("pgd",), detection.l5),
    ),
    Claim(
        *("T1", "Adaptive attacks break the fusion model"),
        *("success above .5, detected below .5", ".978; .118 at 4/255", ("cifar10",)),
        *(("GBZ_mid",), ("pgd", "matching", "feature_matching"), detection.t1),
    ),
)


def verdicts(results: Results, frames: Mapping[str, pd.DataFrame]) -> list[Verdict]:
    """What the results say of each claim.

    Args:
        frames: the comparison of each table by its id, for whether published numbers are met.
    """
    return [_verdict(claim, results, frames) for claim in CLAIMS]


def _verdict(claim: Claim, results: Results, frames: Mapping[str, pd.DataFrame]) -> Verdict:
    found = list(claim.find(results))
    tables = [
        frames[table.id]
        for table in results.tables
        if table.data in claim.data and table.attack in claim.attacks and table.id in frames
    ]
    cells = tuple(cell for cell in found if isinstance(cell, Cell))
    untested = tuple(cell for cell in found if isinstance(cell, Untested))
    return Verdict(claim, cells, untested, met(tables, claim.models))
