"""How honest devices fare under a rule: whether taking part pays them, and how equally."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments.confidence import Bound, student
from experiments.scorecard.measures import gini
from sim.settings import HONEST


@dataclass(frozen=True)
class Welfare:
    """Payoffs of honest devices in runs in which nobody deviates, base units per run.

    Args:
        payoff: of a device, mean over runs with its interval.
        outside: payoff of one that does not take part.
        worse: share of devices that have less than that.
        gini: inequality of payoffs within a run, mean; NaN where payoffs are negative.
        runs: how many.
    """

    payoff: Bound
    outside: float
    worse: Bound
    gini: float
    runs: int

    @property
    def verdict(self) -> str:
        """Return whether staying outside pays an honest device, in the words of findings."""
        if self.payoff.high < self.outside:
            return "profitable"
        return "compatible" if self.payoff.low >= self.outside else "undecided"


def welfare_of(rows: pd.DataFrame, outside: float, level: float) -> Welfare | None:
    """Return how honest devices fare, None where there are none.

    Rows are as those of `Trials.paid`, of one variant.

    Intervals are Student's over runs, whose number was fixed before.
    """
    honest = rows[rows["group"] == HONEST]
    if honest.empty:
        return None
    by_run = honest.groupby("seed")["paid"]
    means = by_run.mean().to_numpy(dtype=np.float64)
    losing = (honest["paid"].astype(float) < outside).astype(float)
    worse = losing.groupby(honest["seed"]).mean().to_numpy(dtype=np.float64)
    spread = [gini(paid.to_numpy(float)) for _, paid in by_run if paid.min() >= 0]
    return Welfare(
        student(means, level),
        outside,
        student(worse, level),
        float(np.mean(spread)) if spread else float("nan"),
        len(means),
    )
