"""How honest devices fare under a rule: whether taking part pays them, and how equally."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments.confidence import Bound
from experiments.intervals import interval
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
    def certainly_worse(self) -> bool:
        """Whether an honest device certainly has less than outside, on average."""
        return self.payoff.high < self.outside


def welfare_of(rows: pd.DataFrame, outside: float, level: float) -> Welfare | None:
    """Return how honest devices fare, None where there are none.

    Rows are as those of `Trials.paid`, of one variant.

    Intervals are Student's or the bootstrap's over runs, for a fixed number of them.
    """
    honest = rows[rows["group"] == HONEST]
    if honest.empty:
        return None
    by_run = honest.groupby("seed")["paid"]
    means = by_run.mean().to_numpy(float)
    worse = (honest["paid"] < outside).groupby(honest["seed"]).mean().to_numpy(float)
    spread = [gini(paid.to_numpy(float)) for _, paid in by_run if paid.min() >= 0]
    return Welfare(
        _bound(means, level),
        outside,
        _bound(worse, level),
        float(np.mean(spread)) if spread else float("nan"),
        len(means),
    )


def _bound(values: np.ndarray, level: float) -> Bound:
    low, high = interval(values, level=level)
    return Bound(float(values.mean()), low, high)
