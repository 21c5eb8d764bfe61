"""How far the winner of a ranking is ahead of the next, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments.intervals import interval
from experiments.numerals import digits, number
from experiments.orderings import opposite, place_of
from experiments.results import Results
from experiments.scorecard.measures import advantage
from experiments.scorecard.settings import Objective


@dataclass(frozen=True)
class Lead:
    """By how much the first of a ranking is better than the second, paired by seed.

    rival       what the second is called
    mean        of the differences of the seeds in both, in units of the measure; above 0: better
    low, high   its 95 % interval over seeds; NaN with a single seed
    """

    rival: str
    mean: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there are seeds enough for an interval."""
        return not np.isnan(self.low)

    @property
    def certain(self) -> bool:
        """Whether the interval says that the first really is better."""
        return self.known and self.low > 0

    def __str__(self) -> str:
        """Return the lead in words, to be read after the name of the winner."""
        if not self.known:
            return f"one seed does not say how sure its lead over {self.rival} is"
        decimals = digits(pd.Series([self.mean, self.low, self.high]))
        mean, low, high = (number(value, decimals) for value in (self.mean, self.low, self.high))
        text = f"ahead of {self.rival} by {mean} (95 %: {low} to {high}, paired by seed)"
        if self.certain:
            return text
        return f"{text}, so the order of the two is not certain"


def lead_of(
    results: Results,
    table: pd.DataFrame,
    ranking: pd.DataFrame,
    mechanism: str,
    objective: Objective,
) -> Lead | None:
    """Return the lead of the first of a ranking; None where single runs do not have the measure.

    It is that of the values in the ranking: under the worst attack each mechanism is compared in
    the row of the scorecard that its value is from. None too where there is no second, or where a
    difference is infinite.
    """
    runs = results.outcomes()
    if {"adversary_utility", "honest_utility"} <= set(runs):
        runs["advantage"] = advantage(runs)
    if objective.measure not in runs or len(ranking) < 2:
        return None
    levels = ranking[mechanism].iloc[:2].tolist()
    first, second = (
        _by_seed(runs, _counted(table[table[mechanism] == level], objective), results, objective)
        for level in levels
    )
    gaps = (first - second).dropna().to_numpy(dtype=float)
    if objective.best == "min":
        gaps = -gaps
    if not len(gaps) or not np.isfinite(gaps).all():
        return None
    rival = results.labels.level(mechanism, levels[1])
    return Lead(rival, float(gaps.mean()), *interval(gaps))


def _counted(rows: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Return the rows of one mechanism that its value in the ranking is made of."""
    known = rows[rows[objective.measure].notna()]
    if objective.over == "mean" or known.empty:
        return known
    assert objective.best is not None
    worst = place_of(opposite(objective.best), known[objective.measure])
    assert worst is not None  # all of them are known
    return known.iloc[[worst]]


def _by_seed(
    runs: pd.DataFrame, rows: pd.DataFrame, results: Results, objective: Objective
) -> pd.Series:
    """Return by seed the mean of the measure over the runs of some rows of the scorecard."""
    factors = list(results.factors)
    known = runs.assign(**runs[factors].astype(str))
    inside = known.merge(rows[factors].astype(str), on=factors)
    return inside.groupby("seed")[objective.measure].mean()
