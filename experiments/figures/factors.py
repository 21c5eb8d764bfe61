"""Choice of the factors that a figure shows: it has room for three, a sweep may have ten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from experiments.results import Results

SAMPLED = ("random", "sobol", "latin-hypercube")


@dataclass(frozen=True)
class Choice:
    """Factors of a figure.

    Args:
        shown: those to show, in order.
        idle: those that change nothing.
        notes: sentences for the caption about those that are not shown.
    """

    shown: list[str]
    idle: list[str]
    notes: list[str]


def ordered(results: Results, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with every factor as an ordered category.

    Numbers are ordered by size, names as the sweep lists them.
    """
    plan = results.runs()
    frame = frame.copy()
    for factor in results.factors:
        present = set(frame[factor])
        levels = [v for v in plan[factor].unique() if v in present]
        if is_number(plan[factor]):
            levels.sort()
        frame[factor] = pd.Categorical(frame[factor], levels, ordered=True)
    return frame


def continuous(results: Results) -> list[str]:
    """Return the numeric factors that are sampled from a range: they go on an axis."""
    plan = results.runs()
    sampled: set[str] = set()
    for block in results.spec.get("design", []):
        if block.get("kind", "grid") in SAMPLED:
            sampled.update(block["factors"])
    varied = [f for f in results.factors if f in sampled and plan[f].nunique() > 1]
    return [f for f in varied if is_number(plan[f])]


def crossed(results: Results, frame: pd.DataFrame) -> list[str]:
    """Return the factors that are not on an axis, those with the fewest levels first.

    Of factors that always change together, one stands for all.
    """
    axis = continuous(results)
    found = [f for f in results.factors if f not in axis and frame[f].nunique() > 1]
    kept = list(found)
    for place, factor in enumerate(found):
        for other in kept:
            if other == factor or not _decides(frame, other, factor):
                continue
            # Of two that decide each other, the first is kept.
            if not _decides(frame, factor, other) or found.index(other) < place:
                kept.remove(factor)
                break
    return sorted(kept, key=lambda f: frame[f].nunique())


def choose(
    results: Results,
    frame: pd.DataFrame,
    values: Sequence[str],
    most: int,
    *,
    by_effect: bool = True,
) -> Choice:
    """Choose the factors of a figure about some outcomes.

    Args:
        results: the sweep.
        frame: one row per run: factors, `seed` and `values`.
        values: outcomes.
        most: how many factors to show.
        by_effect: those that move the outcomes most first, else those with the fewest levels.
    """
    found = crossed(results, frame)
    idle = [f for f in found if _idle(results, frame, f, values)]
    moving = [f for f in found if f not in idle]
    if by_effect:
        moving.sort(key=lambda f: -_effect(frame, f, values))
    on_axis = [f for f in continuous(results) if frame[f].nunique() > 1]
    pooled = [*moving[most:], *on_axis]
    notes = []
    if idle:
        verbs = "has no effect here and is" if len(idle) == 1 else "have no effect here and are"
        notes.append(f"{results.labels.all_of(idle)} {verbs} not shown.")
    if pooled:
        notes.append(f"Averaged over {results.labels.all_of(pooled)}.")
    return Choice(moving[:most], idle, notes)


def share_explained(levels: pd.Series, values: pd.Series) -> float:
    """Return eta squared: variance of the levels' means over the variance of all values; 0 of 0."""
    known = values.notna()
    values = values[known]
    total = float(values.var(ddof=0)) if len(values) else 0.0
    if total <= 0:
        return 0.0
    means = values.groupby(levels[known], observed=True).transform("mean")
    return float(means.var(ddof=0)) / total


def concerns(results: Results, factor: str, table: str) -> bool:
    """Return whether a factor sets keys of a table of the scenario, as `adversaries`."""
    keys = {factor}
    for block in results.spec.get("design", []):
        named = block["factors"].get(factor)  # levels by name, each a table of keys
        if isinstance(named, Mapping) and all(isinstance(v, Mapping) for v in named.values()):
            keys = {key for level in named.values() for key in level}
    return any(key == table or key.startswith(f"{table}.") for key in keys)


def compared(results: Results, factors: Sequence[str]) -> str:
    """Return which of some factors is compared; "" when they are none.

    It is the scorecard's mechanism, else the first one with names that is no attack, else the first
    with names, else the first.
    """
    plan = results.runs()
    scorecard = results.spec.get("scorecard") or {}
    named = [f for f in factors if not is_number(plan[f])]
    chosen = [f for f in named if not concerns(results, f, "adversaries")]
    ranked = [f for f in factors if f == scorecard.get("mechanism")]
    return next(iter([*ranked, *chosen, *named, *factors]), "")


def thin(levels: Sequence[Any], most: int) -> list[Any]:
    """Return at most so many levels: evenly spread numbers with both ends, or the first names."""
    if len(levels) <= most:
        return list(levels)
    if isinstance(levels[0], str):
        return list(levels[:most])
    return [levels[i] for i in sorted({round(i) for i in np.linspace(0, len(levels) - 1, most)})]


def each(
    frame: pd.DataFrame, keys: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Yield the parts of a frame with their levels; without factors all of it."""
    if not keys:
        yield (), frame
        return
    yield from frame.groupby(list(keys), observed=True)


def is_number(column: pd.Series) -> bool:
    """Return whether levels are numbers (truth values are not)."""
    return column.dtype.kind in "iuf"


def _idle(results: Results, frame: pd.DataFrame, factor: str, values: Sequence[str]) -> bool:
    """Return whether runs that differ in this factor alone always have the same outcomes."""
    others = [f for f in results.factors if f != factor]
    rounded = frame.assign(**{v: frame[v].round(9) for v in values})
    groups = rounded.groupby([*others, "seed"], observed=True, dropna=False)
    if groups.size().max() <= 1:
        return False
    return all(groups[v].nunique(dropna=False).max() == 1 for v in values)


def _effect(frame: pd.DataFrame, factor: str, values: Sequence[str]) -> float:
    """Return how much of the outcomes a factor explains, summed over them."""
    return sum((share_explained(frame[factor], frame[v]) for v in values), 0.0)


def _decides(frame: pd.DataFrame, one: str, other: str) -> bool:
    """Return whether each level of one factor comes with a single level of the other."""
    return bool(frame.groupby(one, observed=True)[other].nunique().max() == 1)
