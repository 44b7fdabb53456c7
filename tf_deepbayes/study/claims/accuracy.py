"""Claims on the accuracy under attack."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd

from tf_deepbayes.core.axes import Array
from tf_deepbayes.study.bootstrap import Estimate, bootstrap, of_share
from tf_deepbayes.study.claims.cells import (
    LINF,
    Results,
    Values,
    cell_name,
    extreme,
    of_model,
    sizes,
)
from tf_deepbayes.study.claims.verdicts import Found, Untested
from tf_deepbayes.study.comparison import clean_rows
from tf_deepbayes.study.provenance import Table
from tf_deepbayes.study.results import Outcomes

GENERATIVE, DISCRIMINATIVE = ("GFZ", "GBZ", "GFY", "GBY"), ("DFX", "DBX", "DFZ")
ALL = (*GENERATIVE, *DISCRIMINATIVE)
STEP = 0.1  # added to the largest ε for an image that no ε fools
Sides = Callable[[Array], tuple[Array, Array]]


def worst_against_best(first: int) -> Sides:
    """The lowest of the first columns and the highest of the others."""
    return lambda means: (means[..., :first].min(-1), means[..., first:].max(-1))


def against(
    results: Results,
    data: str,
    ours: Sequence[str],
    others: Sequence[str],
    attacks: Sequence[str] = LINF,
) -> Iterator[Found]:
    """Accuracy: the worst of some models − the best of the others, at each size."""
    for table in results.drawn(data, attacks):
        if isinstance(table, Untested):
            yield table
            continue
        for size in sizes(table):
            parts = [(model, of_model(table, model, size)) for model in (*ours, *others)]
            name = cell_name(table, size)
            yield results.contrast(name, table.id, parts, worst_against_best(len(ours)))


def p4(results: Results) -> Iterator[Found]:
    """GBZ − the best other generative model."""
    others = [model for model in GENERATIVE if model != "GBZ"]
    for data in ("mnist", "plane_frog"):
        yield from against(results, data, ["GBZ"], others)


def p7(results: Results) -> Iterator[Found]:
    """CW: GBZ − the best other on MNIST; the worst generative − the best other on plane_frog."""
    others = [model for model in ALL if model != "GBZ"]
    yield from against(results, "mnist", ["GBZ"], others, ["cw"])
    yield from against(results, "plane_frog", GENERATIVE, DISCRIMINATIVE, ["cw"])


def p5(results: Results) -> Iterator[Found]:
    """DFX and DFZ below .25 under FGSM at ε = .2 on MNIST, DBX above .5."""
    levels = {"DFX": (0.25, -1), "DFZ": (0.25, -1), "DBX": (0.5, 1)}
    for table in results.drawn("mnist", ["fgsm"]):
        if isinstance(table, Untested):
            yield table
            continue
        for model, (level, sign) in levels.items():
            parts = [(model, of_model(table, model, 0.2))]
            name = cell_name(table, 0.2, f"{model} {'above' if sign > 0 else 'below'} {level}")
            yield at_level(results.values(parts), name, table.id, level, sign)


def p17(results: Results) -> Iterator[Found]:
    """Clean accuracy above .98 on MNIST, .90 on plane_frog."""
    for data, level in (("mnist", 0.98), ("plane_frog", 0.90)):
        rows = clean_rows(results.study, data)
        for model in ALL:
            parts = [(model, rows[rows.model == model])]
            values = results.values(parts, lambda outcome: outcome.clean_right)
            yield at_level(values, f"{model} on {data} above {level}", f"{data}_clean", level, 1)


def at_level(values: Values | str, name: str, table: str, level: float, sign: int) -> Found:
    """An accuracy above (sign 1) or below (−1) a level; the distance from it."""
    if isinstance(values, str):
        return Untested(name, values)
    return values.cell(name, distance(of_share(values.array[..., 0]), level, sign), table)


def distance(share: Estimate, level: float, sign: int) -> Estimate:
    """How far a share is on the claimed side of a level."""
    if sign > 0:
        return Estimate(*(value - level for value in share))
    return Estimate(level - share.value, level - share.high, level - share.low)


def p6(results: Results) -> Iterator[Found]:
    """The mean smallest ε that fools: the smallest of the generative − the largest other."""
    for data in ("mnist", "plane_frog"):
        for table in results.drawn(data, LINF):
            if isinstance(table, Untested):
                yield table
            else:
                name = f"{table.title}, mean smallest ε"
                values = smallest_eps(results, table, ALL)
                if isinstance(values, str):
                    yield Untested(name, values)
                else:
                    d = bootstrap([values.array], gap)
                    yield values.cell(name, d, f"{data}_smallest")


def smallest_eps(results: Results, table: Table, models: Sequence[str]) -> Values | str:
    """The smallest ε that fools each image, mean over draws; the largest + .1 if none does."""
    found = smallest_of_draws(results, table, models)
    if isinstance(found, str):
        return found
    return dataclasses.replace(found, array=found.array.mean(0))


def smallest_of_draws(results: Results, table: Table, models: Sequence[str]) -> Values | str:
    """The same in each draw, `[draws, S, N, M]`."""
    grid = sizes(table)
    parts: list[tuple[str, pd.DataFrame]] = [
        (model, of_model(table, model, size)) for model in models for size in grid
    ]
    found = results.values(parts, lambda outcome: np.arange(len(outcome.labels)))
    if isinstance(found, str):
        return found
    draws = []
    for draw in range(min(table.rows.draws.fillna(1).astype(int).min(), 5)):
        values = results.values(parts, partial(fooled, draw=draw))
        assert isinstance(values, Values)  # the same rows as before
        seeds, count, _ = values.array.shape
        is_fooled = values.array.reshape(seeds, count, len(models), len(grid)) > 0.5
        eps = np.where(is_fooled, grid, grid[-1] + STEP)
        draws.append(eps.min(-1))
    return dataclasses.replace(found, array=np.stack(draws))


def fooled(outcome: Outcomes, draw: int) -> Array:
    """Whether each attacked image is wrong in a draw."""
    return outcome.predicted[:, min(draw, outcome.predicted.shape[1] - 1)] != outcome.labels


def l1(results: Results) -> Iterator[Found]:
    """The error rate under FGSM grows at each step of ε, for each model."""
    for table in results.drawn("fashion_mnist", ["fgsm"]):
        if isinstance(table, Untested):
            yield table
            continue
        grid = sizes(table)
        for model in ALL:
            for low, high in itertools.pairwise(grid):
                parts = [(model, of_model(table, model, size)) for size in (low, high)]
                name = f"{table.title}, {model}, ε {low:g} to {high:g}"
                yield results.contrast(name, table.id, parts, lambda m: (m[..., 0], m[..., 1]))


def gaps(results: Results, table: Table, size: float) -> Values | str:
    """The accuracies that a gap is made of: generative, then discriminative models."""
    return results.values([(model, of_model(table, model, size)) for model in ALL])


def gap(means: Array) -> Array:
    """The worst generative model − the best other."""
    return np.subtract(*worst_against_best(len(GENERATIVE))(means))


def gap_difference(means: Array) -> Array:
    """The gap of the first seven columns − that of the other seven."""
    half = len(ALL)
    return gap(means[..., :half]) - gap(means[..., half:])


def l3(results: Results) -> Iterator[Found]:
    """The gap under FGSM at ε = .3 − that at .1."""
    for table in results.drawn("fashion_mnist", ["fgsm"]):
        if isinstance(table, Untested):
            yield table
            continue
        parts = [(m, of_model(table, m, size)) for size in (0.3, 0.1) for m in ALL]
        name = f"{table.title}, gap at ε 0.3 − gap at 0.1"
        values = results.values(parts)
        if isinstance(values, str):
            yield Untested(name, values)
            continue
        d = bootstrap([values.array], gap_difference)
        yield values.cell(name, d, table.id, extreme(*values.means[: len(ALL)]))


def l4(results: Results) -> Iterator[Found]:
    """The gap on Fashion-MNIST − that on MNIST under FGSM, at each ε."""
    both = [list(results.drawn(data, ["fgsm"])) for data in ("fashion_mnist", "mnist")]
    yield from (table for found in both for table in found if isinstance(table, Untested))
    fashion, mnist = ([t for t in found if isinstance(t, Table)] for found in both)
    if not fashion or not mnist:
        return
    for size in sorted({*sizes(fashion[0])} & {*sizes(mnist[0])}):
        name = f"gap on fashion_mnist − gap on mnist, FGSM ε {size:g}"
        one, other = gaps(results, fashion[0], size), gaps(results, mnist[0], size)
        if isinstance(one, str) or isinstance(other, str):
            yield Untested(name, next(why for why in (one, other) if isinstance(why, str)))
            continue
        if one.epochs != other.epochs:
            why = f"other epochs: {one.epochs:g} on fashion_mnist, {other.epochs:g} on mnist"
            yield Untested(name, why)
            continue
        if one.sampled != other.sampled:
            why = f"other settings: {one.sampled} on fashion_mnist, {other.sampled} on mnist"
            yield Untested(name, why)
            continue
        d = bootstrap([one.array, other.array], gap_difference)
        yield one.cell(name, d, fashion[0].id, extreme(*one.means, *other.means))
