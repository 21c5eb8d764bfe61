"""Measures made of others, and of one table: what papers have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from experiments.reproduce.evidence import Evidence
from experiments.reproduce.verdicts import Measure

Of = Callable[[pd.DataFrame], float]
"""Returns a number for the rows of one run."""


def by_seed(arm: str, table: str, of: Of, group: str = "arms") -> Measure:
    """Measure a number of a table for each seed of an arm; none where it was not played."""

    def measure(evidence: Evidence) -> list[float]:
        found = evidence.of([arm], table, group)
        return [float(of(run)) for _, run in found.groupby("seed")] if len(found) else []

    return measure


def paired(of: Callable[[float, float], float], first: Measure, second: Measure) -> Measure:
    """Measure a number of two measures for each seed; none where one of them was not played."""

    def measure(evidence: Evidence) -> list[float]:
        pair: list[Sequence[float]] = [first(evidence), second(evidence)]
        return [of(*values) for values in zip(*pair, strict=True)] if all(map(len, pair)) else []

    return measure


def difference(first: Measure, second: Measure) -> Measure:
    """Measure the first less the second, paired by seed."""
    return paired(lambda a, b: a - b, first, second)


def ratio(first: Measure, second: Measure) -> Measure:
    """Measure the first over the second, paired by seed."""
    return paired(lambda a, b: a / b, first, second)
