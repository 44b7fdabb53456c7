"""Claims on detection, on attacks that evade it, and on the cost."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from tf_deepbayes.core.metrics import confidence_interval
from tf_deepbayes.study.bootstrap import FEWEST_SEEDS, RESAMPLES, SEED, Estimate, bootstrap
from tf_deepbayes.study.claims.accuracy import ALL, distance
from tf_deepbayes.study.claims.cells import (
    LINF,
    Results,
    cell_name,
    like,
    lowest_clean,
    of_runs,
    other_settings,
    sizes,
)
from tf_deepbayes.study.claims.verdicts import FEWEST_IMAGES, Cell, Found, Untested
from tf_deepbayes.study.provenance import NAMES, Table
from tf_deepbayes.study.rows import ADAPTIVE, EVADED

DAYS = 24.0  # hours from which on a cost is out of reach
CLASSES = {"plane_frog": 2}


def detected(results: Results, table: Table, size: float, detector: str) -> pd.DataFrame:
    """The detections of a table's attacks at one size by the victims' own detectors.

    `n` counts the images that a detection used, which may be some of those attacked.
    """
    rows = table.rows[table.rows["size"] == size]
    found = results.study.detections
    own = found[(found.data == table.data) & found.guard.isna() & (found.detector == detector)]
    keys = ["model", "seed", "name"]
    kept = own.drop(columns=["data", "epochs", "asked", "low", "high", "detector"])
    named = kept.rename(columns={"path": "detection"})
    both = rows.drop(columns="detector").merge(named, on=keys)
    used = zip(both.detection, both.is_chosen, both.n, strict=True)
    return both.assign(n=[results.study.num_detected(*one) for one in used])


def rate(rows: pd.DataFrame, column: str, count: float) -> Estimate:
    """A share, mean over seeds, with Wilson's interval of `count` images or that over seeds."""
    shares = rows[column].astype(float).to_numpy()
    mean = float(shares.mean())
    low, high = confidence_interval(mean, max(int(count), 1)) or (0.0, 1.0)
    if len(shares) >= FEWEST_SEEDS:
        random = np.random.default_rng(SEED)
        means = shares[random.integers(0, len(shares), (RESAMPLES, len(shares)))].mean(1)
        below, above = np.percentile(means, [2.5, 97.5])
        low, high = min(low, float(below)), max(high, float(above))
    return Estimate(mean, low, high)


def expected(detector: str) -> set[str]:
    """The models that a detector applies to: DFX and DBX have no p(x)."""
    return set(ALL) - ({"DFX", "DBX"} if detector in ("marginal", "logit") else set())


def rates(
    results: Results,
    data: str,
    detectors: Sequence[str],
    low: float,
    high: float,
    level: float,
    sign: int,
    attacks: Sequence[str] = LINF,
) -> Iterator[Found]:
    """Detection rates of successful attacks above (sign 1) or below (−1) a level."""
    for table in results.drawn(data, attacks):
        if isinstance(table, Untested):
            yield table
            continue
        for size in sizes(table, low, high):
            for detector in detectors:
                found = detected(results, table, size, detector)
                for absent in sorted(expected(detector) - set(found.model)):
                    name = cell_name(table, size, absent, detector)
                    yield Untested(name, f"no detection on {absent} by {detector}")
                for model, part in of_runs(found):
                    name = cell_name(table, size, model, detector)
                    yield _rate_cell(part, name, table, level, sign)


def _rate_cell(part: pd.DataFrame, name: str, table: Table, level: float, sign: int) -> Found:
    n, successful = int(part.n.min()), part.successful.fillna(0).mean()
    if why := unfit(part, table.data):
        return Untested(name, why)
    if part.rate.isna().any() or successful < 1:
        return Untested(name, "no attack succeeded")
    share = rate(part, "rate", successful)
    row, d = part.iloc[0], distance(share, level, sign)
    return Cell(name, d, f"{table.id}_detection", row.epochs, row.asked, len(part), n)


def unfit(rows: pd.DataFrame, data: str) -> str:
    """Why rows are not tested: unknown epochs, too few images, or a model at chance."""
    if rows.epochs.isna().any():
        return f"{rows.model.iloc[0]} at unknown epochs, of weights not those of trained.json"
    if rows.n.min() < FEWEST_IMAGES:
        return f"{rows.n.min()} images, fewer than {FEWEST_IMAGES}"
    if rows.clean_accuracy.min() < lowest_clean(CLASSES.get(data, 10)):
        return f"{rows.model.iloc[0]} is at chance"
    return ""


def p8(results: Results) -> Iterator[Found]:
    """Marginal and logit find attacks at ε ≥ .3 on MNIST: lower end above .9."""
    yield from rates(results, "mnist", ("marginal", "logit"), 0.3, 1.0, 0.9, 1)


def p9(results: Results) -> Iterator[Found]:
    """… and miss them on plane_frog at ε ≤ .1: upper end below .5."""
    yield from rates(results, "plane_frog", ("marginal", "logit"), 0.0, 0.1, 0.5, -1)


def p10(results: Results) -> Iterator[Found]:
    """KL detection on the right rows, every model: lower end above .9."""
    yield from rates(results, "mnist", ("kl",), 0.0, 1.0, 0.9, 1)


def p13(results: Results) -> Iterator[Found]:
    """Misclassified and undetected: WB+S − WB+S with a detector evaded, the same detector."""
    for data in ("mnist", "plane_frog"):
        plain = [t for t in results.tables if t.data == data and t.threat == "WB+S"]
        for detector, threat in EVADED.items():
            tables = [t for t in results.tables if t.data == data and t.threat == threat]
            if not tables or not plain:
                yield Untested(f"{threat} on {data}", f"no run of WB+S and {threat} on {data}")
            for table in tables if plain else ():
                same = [t for t in plain if t.kind == _without_weight(table.kind)]
                if not same:
                    yield Untested(table.title, "no WB+S of the same settings")
                elif table.refused or same[0].refused:
                    yield Untested(table.title, "its table would mix results")
                else:
                    yield from _evaded(results, table, same, detector)


def _without_weight(kind: str) -> str:
    """The kind of a table without λ, which plain WB+S does not have."""
    return ", ".join(p for p in kind.split(", ") if not p.startswith("detection_lambda"))


def _evaded(
    results: Results, table: Table, plain: Sequence[Table], detector: str
) -> Iterator[Found]:
    """The cells of each model and size that the table and a plain one have."""
    for size in sizes(table):
        ours, *base = (
            detected(results, t, size, detector).set_index("model", drop=False)
            for t in (table, *plain)
        )
        for model in sorted(set(ours.index)):
            own, others = ours.loc[[model]], [b.loc[[model]] for b in base if model in b.index]
            if others:
                pair, name = (like(own, others), own), cell_name(table, size, model)
                yield _undetected(results, *pair, name, table, detector)


def _undetected(
    results: Results, base: pd.DataFrame, ours: pd.DataFrame, name: str, table: Table, detector: str
) -> Found:
    both = pd.concat([base, ours])
    if why := unfit(both, table.data) or other_settings(base, ours):
        return Untested(name, why)
    if both.epochs.nunique() > 1:
        return Untested(name, "other epochs")
    row, base, ours = both.iloc[0], base.set_index("seed"), ours.set_index("seed")
    d = _paired(results, base, ours, detector) or _unpaired(base, ours)
    return Cell(name, d, f"{table.id}_detection", row.epochs, row.asked, len(ours), int(row.n))


def _paired(
    results: Results, base: pd.DataFrame, ours: pd.DataFrame, detector: str
) -> Estimate | None:
    """The difference on the same images; None where their outcomes were not kept."""
    if set(base.index) != set(ours.index) or not (base.index.is_unique and ours.index.is_unique):
        return None
    passed = []
    for run in ours.index:
        pair = [results.study.detected(path) for path in (base.detection[run], ours.detection[run])]
        known = [one for one in pair if one is not None and detector in one.rejected]
        if len(known) < len(pair) or not np.array_equal(known[0].labels, known[1].labels):
            return None
        each = [one.fooled & ~one.rejected[detector].astype(bool) for one in known]
        passed.append(np.stack(each, axis=-1))
    return bootstrap([np.stack(passed).astype(float)], lambda means: means[..., 0] - means[..., 1])


def _unpaired(base: pd.DataFrame, ours: pd.DataFrame) -> Estimate:
    """The difference of the shares alone, their intervals joined as independent ones."""
    shares = [rate(rows, "undetected", rows.n.min()) for rows in (base, ours)]
    d = shares[0].value - shares[1].value
    low = d - np.hypot(shares[0].value - shares[0].low, shares[1].high - shares[1].value)
    high = d + np.hypot(shares[0].high - shares[0].value, shares[1].value - shares[1].low)
    return Estimate(d, float(low), float(high))


def t1(results: Results) -> Iterator[Found]:
    """Adaptive attacks on the fusion model at 4/255: success above .5, detected below .5."""
    names = ("pgd", *ADAPTIVE)
    fusion = [
        t
        for t in results.tables
        if t.data == "cifar10"
        and t.attack in names
        and not t.refused
        and (t.threat == "adaptive" or "label_only" in t.kind)
    ]
    if not fusion:
        yield Untested("adaptive attacks on cifar10", "no adaptive attack on cifar10")
    for table in fusion:
        for size in sizes(table):
            for model, part in of_runs(table.rows[table.rows["size"] == size]):
                name = cell_name(table, size, model)
                if why := unfit(part, "cifar10"):
                    yield Untested(name, why)
                    continue
                row, n = part.iloc[0], int(part.n.min())
                d = distance(rate(part, "accuracy", n), 0.5, -1)
                yield Cell(f"{name}, success", d, table.id, row.epochs, row.asked, len(part), n)
            for model, part in of_runs(detected(results, table, size, "kl")):
                yield _rate_cell(part, cell_name(table, size, model, "kl"), table, 0.5, -1)


def l5(results: Results) -> Iterator[Found]:
    """PGD on Fashion-MNIST takes days: hours of a run of each model, mean over seeds, − 24."""
    for table in results.drawn("fashion_mnist", ["pgd"]):
        if isinstance(table, Untested):
            yield table
            continue
        missing = [model for model in ALL if model not in set(table.rows.model)]
        n = int(table.rows.n.min())
        if missing or n < FEWEST_IMAGES:
            why = f"no run of {', '.join(missing)}" if missing else f"{n} images"
            yield Untested(f"hours of {NAMES['pgd']} on fashion_mnist", why)
            continue
        hours = float(table.rows.groupby(["model", "size"]).seconds.mean().sum()) / 3600
        d, name = Estimate(*[hours - DAYS] * 3), f"{table.title}, {hours:.1f} hours"
        epochs, asked = table.rows.epochs.max(), table.rows.asked.max()
        yield Cell(name, d, "cost", epochs, asked, table.rows.seed.nunique(), n)
