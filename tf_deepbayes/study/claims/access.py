"""Claims on what the attacker knows, on transfer, and on the model's size and features."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from tf_deepbayes.core.axes import Array
from tf_deepbayes.core.metrics import NORMAL_95
from tf_deepbayes.study.bootstrap import Estimate, bootstrap
from tf_deepbayes.study.claims.accuracy import ALL, DISCRIMINATIVE, GENERATIVE
from tf_deepbayes.study.claims.cells import LINF, Results, cell_name, extreme, of_model, sizes
from tf_deepbayes.study.claims.verdicts import FEWEST_IMAGES, Cell, Found, Untested
from tf_deepbayes.study.provenance import Table, in_words

LARGEST = {"mnist": 0.3, "plane_frog": 0.1}  # ε of P11 and P15
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
                    parts = [(model, of_model(t, model, size)) for t in (table, same[0])]
                    name = cell_name(table, size, model)
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
    for data, size in LARGEST.items():
        own = transfers[transfers.data == data].drop_duplicates(["model", "name", "guard", "seed"])
        if own.empty:
            yield Untested(f"transfers on {data}", f"no transfers on {data}")
        for (source, result), part in own.groupby(["model", "name"]):
            attack = attacks[(attacks.data == data) & (attacks.model == source)]
            attack = attack[(attack.name == result) & (attack["size"] == size)]
            if len(attack) and source in ALL:
                row = attack.iloc[0]
                name = f"{in_words(row)}, from {source} on {data}"
                yield _transfer(results, str(source), name, row, part)


def _transfer(
    results: Results, source: str, name: str, attack: pd.Series, part: pd.DataFrame
) -> Found:
    n = int(attack.n)
    kind = GENERATIVE if source in GENERATIVE else DISCRIMINATIVE
    guards = part.drop_duplicates("guard").set_index("guard")
    same = [m for m in kind if m in guards.index and m != source]
    other = [m for m in ALL if m in guards.index and m not in kind]
    if not same or not other:
        return Untested(name, "no guard of each kind")
    if n < FEWEST_IMAGES:
        return Untested(name, f"{n} images, fewer than {FEWEST_IMAGES}")
    paths = [str(guards.path[m]) for m in (*other, *same)]
    d = _of_fooled(results, source, paths, len(other)) or _of_counts(source, guards, other, same, n)
    return Cell(name, d, "transfer", attack.epochs, attack.asked, 1, n)


def _of_fooled(results: Results, source: str, paths: Sequence[str], others: int) -> Estimate | None:
    """The difference on the images that fooled the source; None where outcomes were not kept."""
    found = [results.study.detected(path) for path in paths]
    known = [f for f in found if f is not None and f.guard_predicted is not None]
    if len(known) < len(found) or not known[0].fooled.any():
        return None
    right = np.stack([f.guard_right[known[0].fooled] for f in known], axis=-1)  # [N, M]
    return bootstrap([right[None].astype(float)], _transferred(source, others))


def _transferred(source: str, others: int) -> Callable[[Array], Array]:
    """Of accuracies `[..., M]`: those of the other kind − those of the same kind, on average."""
    if source == "DBX":  # fools nobody: the accuracy of the others is above 9 in 10
        return lambda means: means.min(-1) - FOOLS_NOBODY
    return lambda means: means[..., :others].mean(-1) - means[..., others:].mean(-1)


def _of_counts(
    source: str, guards: pd.DataFrame, other: Sequence[str], same: Sequence[str], n: int
) -> Estimate:
    """The difference on all images from counts alone: normal, as if nothing paired the images."""
    sides = [1.0 - guards.transfer_successful[list(s)].to_numpy(float) / n for s in (other, same)]
    d = float(_transferred(source, len(other))(np.concatenate(sides)))
    variances = [(side * (1 - side) / n).sum() / len(side) ** 2 for side in sides]
    if source == "DBX":
        variances = [FOOLS_NOBODY * (1 - FOOLS_NOBODY) / n]
    error = NORMAL_95 * float(np.sqrt(sum(variances)))
    return Estimate(d, d - error, d + error)


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
