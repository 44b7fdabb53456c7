"""The detectors by name, and which of them apply to a guard."""

from collections.abc import Callable, Mapping, Sequence

from tf_deepbayes.core.axes import ArrayLike
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.detection.detectors import Detector, Divergence, Logit, Marginal

DETECTORS: dict[str, Callable[[str], Detector]] = {
    "marginal": Marginal,
    "logit": Logit,
    "kl": lambda threshold: Divergence("kl", threshold),
    "tv": lambda threshold: Divergence("tv", threshold),
}


def make(name: str, threshold: str = "published") -> Detector:
    """A new detector, given its name and kind of threshold."""
    if name not in DETECTORS:
        raise InputError(f"unknown detector {name!r}; choose from {', '.join(DETECTORS)}")
    return DETECTORS[name](threshold)


def detector_names(asked: Sequence[str] | None, has_p_x: bool) -> list[str]:
    """The detectors to use on a classifier: those requested, or all that apply to it.

    "marginal" and "logit" read the logits as log p̂(x, y_c). The logits of a classifier without
    p(x) (DFX, DBX, any plain network) are log p(y|x) up to a constant per image, and do not tell
    how likely the image is. The published script prints both figures for such models anyway, and
    with the opposite sign for guards called "mlp" and "cnn"; here these figures do not exist.

    Raises:
        InputError: an empty request, an unknown name, or one that needs p(x) if there is none.
    """
    if asked is None:
        return [name for name in DETECTORS if has_p_x or not make(name).needs_density]
    if not asked:
        raise InputError(f"expected at least one detector; choose from {', '.join(DETECTORS)}")
    names = list(dict.fromkeys(asked))
    refused = [name for name in names if make(name).needs_density and not has_p_x]
    if refused:
        raise InputError(
            f"the detectors {', '.join(refused)} need p(x), which the classifier does not have: "
            f"its logits are not densities; choose from {', '.join(detector_names(None, False))}"
        )
    return names


def fit_all(
    logits: ArrayLike,
    labels: ArrayLike,
    has_p_x: bool,
    false_positive_rate: float = 0.05,
    threshold: str = "published",
) -> dict[str, Detector]:
    """Every detector that applies to the classifier, fitted: {name: detector}."""
    return {
        name: make(name, threshold).fit(logits, labels, false_positive_rate)
        for name in detector_names(None, has_p_x)
    }


def fit(
    logits: ArrayLike, labels: ArrayLike, false_positive_rate: float = 0.05, has_p_x: bool = True
) -> dict[str, Detector]:
    """Every detector, fitted on the logits of clean training images: {name: detector}.

    Args:
        logits: log p̂(x, y_c) `[N, C]`.
        labels: `[N]` or one-hot.
        false_positive_rate: share of clean images that may be rejected.
        has_p_x: False where logits are no densities: the divergences alone are fitted.
    """
    return fit_all(logits, labels, has_p_x, false_positive_rate)


def choose(names: Sequence[str], detectors: Mapping[str, Detector]) -> list[Detector]:
    """The fitted detectors with these names; InputError if one is missing."""
    missing = [name for name in names if name not in detectors]
    if missing:
        raise InputError(f"no fitted {', '.join(missing)}, only {', '.join(detectors)}; fit again")
    return [detectors[name] for name in names]
