"""Which factors of a sweep a figure shows: a picture has room for three, a sweep may have ten."""

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
    """Factors to show, in order; factors that change nothing; and what the caption has to say about the others."""

    shown: list[str]
    idle: list[str]
    notes: list[str]


def ordered(results: Results, frame: pd.DataFrame) -> pd.DataFrame:
    """The same frame with every factor as an ordered category: numbers by size, names as the sweep lists them."""
    plan = results.runs()
    frame = frame.copy()
    for factor in results.factors:
        there = set(frame[factor])
        levels = [v for v in plan[factor].unique() if v in there]
        frame[factor] = pd.Categorical(
            frame[factor], sorted(levels) if is_number(plan[factor]) else levels, ordered=True
        )
    return frame


def continuous(results: Results) -> list[str]:
    """Numeric factors that are sampled from a range or have many levels: they go on an axis."""
    plan = results.runs()
    drawn = {
        name
        for block in results.spec.get("design", [])
        if block.get("kind", "grid") in SAMPLED
        for name in block["factors"]
    }
    return [
        f for f in results.factors if is_number(plan[f]) and plan[f].nunique() > 1 and f in drawn
    ]


def crossed(results: Results, frame: pd.DataFrame) -> list[str]:
    """Factors with a few levels to tell apart, fewest first; of those that always change together, one."""
    axis = continuous(results)
    found = [f for f in results.factors if f not in axis and frame[f].nunique() > 1]
    kept = list(found)
    for factor in found:
        leaders = [g for g in kept if g != factor and _decides(frame, g, factor)]
        if any(
            not _decides(frame, factor, g) or found.index(g) < found.index(factor) for g in leaders
        ):
            kept.remove(factor)
    return sorted(kept, key=lambda f: frame[f].nunique())


def choose(
    results: Results,
    frame: pd.DataFrame,
    values: Sequence[str],
    most: int,
    *,
    by_effect: bool = True,
) -> Choice:
    """The factors of a figure about some outcomes.

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
    notes = []
    if idle:
        notes.append(f"Without effect here and not shown: {_and(idle)}.")
    if pooled := [*moving[most:], *(f for f in continuous(results) if frame[f].nunique() > 1)]:
        notes.append(f"Pooled: {_and(pooled)}.")
    return Choice(moving[:most], idle, notes)


def share_explained(levels: pd.Series, values: pd.Series) -> float:
    """Eta squared: variance between the means of the levels over the variance of all; 0 without any."""
    there = values.notna()
    values, total = values[there], float(values[there].var(ddof=0)) if there.any() else 0.0
    if total <= 0:
        return 0.0
    means = values.groupby(levels[there], observed=True).transform("mean")
    return float(means.var(ddof=0)) / total


def concerns(results: Results, factor: str, table: str) -> bool:
    """Whether a factor sets keys of a table of the scenario, as `adversaries`."""
    keys = {factor}
    for block in results.spec.get("design", []):
        given = block["factors"].get(factor)
        if isinstance(given, Mapping) and all(
            isinstance(level, Mapping) for level in given.values()
        ):
            keys = {key for level in given.values() for key in level}
    return any(key == table or key.startswith(f"{table}.") for key in keys)


def short(factor: str) -> str:
    """The last part of a dotted key."""
    return factor.rpartition(".")[2]


def label(factor: str, level: Any) -> str:
    """A level in words: names speak for themselves, numbers need their factor."""
    if isinstance(level, str):
        return level
    told = f"{level:.3g}" if isinstance(level, float | np.floating) else str(level).lower()
    return f"{short(factor)} = {told}"


def thin(levels: Sequence[Any], most: int) -> list[Any]:
    """At most so many levels: of numbers evenly spread ones with both ends, of names the first."""
    if len(levels) <= most:
        return list(levels)
    if isinstance(levels[0], str):
        return list(levels[:most])
    return [levels[i] for i in sorted({round(i) for i in np.linspace(0, len(levels) - 1, most)})]


def each(
    frame: pd.DataFrame, keys: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The parts of a frame by their levels; all of it without any factor."""
    yield from frame.groupby(list(keys), observed=True) if keys else [((), frame)]


def is_number(column: pd.Series) -> bool:
    """Whether levels are numbers (truth values are not)."""
    return column.dtype.kind in "iuf"


def _idle(results: Results, frame: pd.DataFrame, factor: str, values: Sequence[str]) -> bool:
    """Whether runs that differ in this factor alone always come to the same."""
    others = [f for f in results.factors if f != factor]
    groups = frame.assign(**{v: frame[v].round(9) for v in values}).groupby(
        [*others, "seed"], observed=True, dropna=False
    )
    return bool(
        groups.size().max() > 1 and all(groups[v].nunique(dropna=False).max() == 1 for v in values)
    )


def _effect(frame: pd.DataFrame, factor: str, values: Sequence[str]) -> float:
    return sum((share_explained(frame[factor], frame[v]) for v in values), 0.0)


def _decides(frame: pd.DataFrame, one: str, other: str) -> bool:
    return bool(frame.groupby(one, observed=True)[other].nunique().max() == 1)


def _and(names: Sequence[str]) -> str:
    told = [short(n) for n in names]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
