"""Claims on what the attacker knows, on transfer, and on the model's size and features."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tf_deepbayes.core.axes import Array
from tf_deepbayes.study.bootstrap import bootstrap, of_share
from tf_deepbayes.study.claims.accuracy import ALL, DISCRIMINATIVE, GENERATIVE, distance
from tf_deepbayes.study.claims.cells import (
    LINF,
    PUBLISHED_KIND,
    Results,
    cell_name,
    extreme,
    like,
    lowest_clean,
    of_model,
    sizes,
)
from tf_deepbayes.study.claims.verdicts import FEWEST_IMAGES, Cell, Found, Untested
from tf_deepbayes.study.provenance import Table, in_words
from tf_deepbayes.study.results import Study
from tf_deepbayes.study.rows import WHITE_BOX

LARGEST = {"mnist": 0.3, "plane_frog": 0.1}  # ε of P11 and P15
FEWEST_FOOLED = 30  # images that an attack must have fooled its source on
FOOLS_NOBODY = 0.9  # the accuracy of a model that an attack on another does not fool
WIDTHS = (16, 32, 64, 128)
FIRST_MINUS_SECOND: Callable[[Array], tuple[Array, Array]] = lambda m: (  # noqa: E731
    m[..., 0],
    m[..., 1],
)


def pairs(
    results: Results, data: str, attacks: Sequence[str], threat: str, high: float
) -> Iterator[Found]:
    """Accuracy under an attack that knows less − under the same that knows all, each model."""
    for attack in attacks:
        for table in results.drawn(data, [attack], threat):
            if isinstance(table, Untested):
                yield Untested(f"{table.name}, {threat}", table.why)
                continue
            whites = [t for t in results.drawn(data, [attack]) if isinstance(t, Table)]
            same = [t for t in whites if t.kind == table.kind]
            if not same:
                yield Untested(table.title, "no white-box run of the same settings")
                continue
            for size in sizes(table, high=high):
                for model in sorted(set(table.rows.model)):
                    own = of_model(table, model, size)
                    white = like(own, [of_model(t, model, size) for t in same])
                    parts, name = [(model, own), (model, white)], cell_name(table, size, model)
                    yield results.contrast(name, table.id, parts, FIRST_MINUS_SECOND)


def p11(results: Results) -> Iterator[Found]:
    """Grey- and black-box − white-box accuracy."""
    for data, high in LARGEST.items():
        for threat in ("grey box", "black box"):
            yield from pairs(results, data, ("pgd", "mim"), threat, high)


def p12(results: Results) -> Iterator[Found]:
    """SPSA − PGD accuracy, ε = .3 on MNIST, .05 on plane_frog."""
    for data, size in (("mnist", 0.3), ("plane_frog", 0.05)):
        tables = list(results.drawn(data, ["spsa"], "score based"))
        others = list(results.drawn(data, ["pgd"]))
        yield from (t for t in (*tables, *others) if isinstance(t, Untested))
        for table in (t for t in tables if isinstance(t, Table)):
            for other in (t for t in others if isinstance(t, Table)):
                for model in sorted(set(table.rows.model)):
                    parts = [(model, of_model(t, model, size)) for t in (table, other)]
                    name = cell_name(table, size, model)
                    yield results.contrast(name, table.id, parts, FIRST_MINUS_SECOND)


def slope(means: Array) -> Array:
    """Change of accuracy with each doubling of dim_z, of the columns of `WIDTHS`."""
    steps = np.log2(WIDTHS) - np.mean(np.log2(WIDTHS))
    return means @ (steps / (steps @ steps))


def p14(results: Results) -> Iterator[Found]:
    """The slope of accuracy over dim_z 16 … 128 is below 0."""
    for table in results.drawn("mnist", LINF):
        if isinstance(table, Untested):
            yield table
            continue
        for size in sizes(table):
            for family in ("DBX", "GBZ", "GBY"):
                rows = table.rows[(table.rows.family == family) & (table.rows["size"] == size)]
                parts = [(f"{family} with dim_z {w}", rows[rows.dim_z == w]) for w in WIDTHS]
                name, values = cell_name(table, size, family), results.values(parts)
                if isinstance(values, str):
                    yield Untested(name, values)
                    continue
                d = bootstrap([values.array], lambda means: -slope(means))
                yield values.cell(name, d, table.id, extreme(*values.means))


def p15(results: Results) -> Iterator[Found]:
    """Transfers fool models of the source's kind more than the other kind; those on DBX none."""
    found = results.study.detections
    transfers = found[found.guard.notna() & found.transfer_successful.notna()]
    attacks = results.study.attacks
    white = attacks[(attacks.threat == WHITE_BOX) & attacks.kind.str.fullmatch(PUBLISHED_KIND)]
    for data, size in LARGEST.items():
        own = transfers[transfers.data == data].drop_duplicates(["model", "name", "guard", "seed"])
        if own.empty:
            yield Untested(f"transfers on {data}", f"no transfers on {data}")
        for (source, result, seed), part in own.groupby(["model", "name", "seed"]):
            attack = white[(white.data == data) & (white.model == source) & (white.seed == seed)]
            attack = attack[(attack.name == result) & (attack["size"] == size)]
            if len(attack) and source in ALL:
                row = attack.iloc[0]
                name = f"{in_words(row)}, from {source} on {data}"
                yield _transfer(results, str(source), name, row, part)


def _transfer(
    results: Results, source: str, name: str, attack: pd.Series, part: pd.DataFrame
) -> Found:
    """A cell on the images that fooled the source: the same images for every guard."""
    kind = GENERATIVE if source in GENERATIVE else DISCRIMINATIVE
    paths = dict(zip(part.guard, part.path, strict=True))
    same = [m for m in kind if m in paths and m != source]
    other = [m for m in ALL if m in paths and m not in kind]
    if not same or not other:
        return Untested(name, "no guard of each kind")
    if attack.n < FEWEST_IMAGES:
        return Untested(name, f"{attack.n} images, fewer than {FEWEST_IMAGES}")
    found = [results.study.detected(str(paths[model])) for model in (*other, *same)]
    known = [f for f in found if f is not None and f.guard_predicted is not None]
    if len(known) < len(found):
        return Untested(name, "the outcomes of the images were not kept; detect again")
    first = known[0]
    if not all(np.array_equal(f.predicted, first.predicted) for f in known):
        return Untested(name, "its guards saw other images")
    if why := _unfit(results.study, attack, part[part.guard.isin([*other, *same])], first.labels):
        return Untested(name, why)
    if first.fooled.sum() < FEWEST_FOOLED:
        return Untested(name, f"{first.fooled.sum()} images fooled it, fewer than {FEWEST_FOOLED}")
    right = np.stack([f.guard_right[first.fooled] for f in known], axis=-1)[None].astype(float)
    means, left_out = right.mean((0, 1)), ""
    if source == "DBX":  # fools nobody: the accuracy of the others is above 9 in 10
        d = distance(of_share(right[..., means.argmin()]), FOOLS_NOBODY, 1)
    else:
        ends = lambda m: (m[..., : len(other)].mean(-1), m[..., len(other) :].mean(-1))  # noqa: E731
        d, left_out = bootstrap([right], lambda m: np.subtract(*ends(m))), extreme(*ends(means))
    count = int(first.fooled.sum())
    return Cell(name, d, "transfer", attack.epochs, attack.asked, 1, count, left_out)


def _unfit(study: Study, attack: pd.Series, part: pd.DataFrame, labels: Array) -> str:
    """Why a source and its guards are not compared: one at chance, other epochs or sampling."""
    told = [(str(attack.model), attack.epochs, attack.clean_accuracy)]
    told += [(str(row.guard), *_trained(study, row)) for row in part.itertuples()]
    lowest = lowest_clean(max(int(labels.max()) + 1, 2))
    for name, _, clean in told:
        if clean < lowest:
            return f"{name} is at chance (clean accuracy {clean:.2f})"
    epochs = {name: "unknown" if pd.isna(of) else f"{of:g}" for name, of, _ in told}
    if "unknown" in epochs.values() or len(set(epochs.values())) > 1:
        return "other epochs: " + ", ".join(f"{name} at {of}" for name, of in epochs.items())
    sampled = [f"{guard} with {how}" for guard, how in zip(part.guard, part.sampled, strict=True)]
    return f"other settings: {'; '.join(sampled)}" if part.sampled.nunique() > 1 else ""


def _trained(study: Study, row: Any) -> tuple[float, float]:
    """(epochs, clean accuracy) of a transfer's guard; NaN where not known.

    The clean accuracy is that of attacks on the guard, or else of its validation.
    """
    runs, attacks = study.runs, study.attacks
    own = runs[(runs.data == row.data) & (runs.folder.str.split("/").str[-1] == row.guard)]
    if own.empty:
        return np.nan, np.nan
    run = own.iloc[0]
    if row.fitted_on and run.weights and row.fitted_on != run.weights:
        return np.nan, np.nan
    of_run = (attacks.data == run.data) & (attacks.model == run.model) & (attacks.seed == run.seed)
    clean = attacks.clean_accuracy[of_run & ~attacks.stale.astype(bool)]
    return float(run.epochs), float(clean.mean() if len(clean) else run.val_accuracy or np.nan)


def p16(results: Results) -> Iterator[Found]:
    """Fusion: accuracy on CONV9 − on FC1 of CIFAR-10, for GBZ and GBY."""
    for table in results.drawn("cifar10", LINF):
        if isinstance(table, Untested):
            yield table
            continue
        for size in sizes(table, 0.01, 0.2):
            for family in ("GBZ", "GBY"):
                layers = [f"{family}_mid", f"{family}_high"]
                parts = [(model, of_model(table, model, size)) for model in layers]
                name = cell_name(table, size, family)
                yield results.contrast(name, table.id, parts, FIRST_MINUS_SECOND)
