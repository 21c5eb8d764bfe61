"""Measures of inequality, fairness and gain: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from experiments.confidence import Bound, Float64, student, t_sequence


def advantage(runs: pd.DataFrame) -> pd.Series:
    """Return by run what an adversary gains more than an honest device, in base units.

    Missing where a run has no adversaries, or no honest devices.
    """
    return runs["adversary_utility"] - runs["honest_utility"]


def gini(holdings: ArrayLike) -> float:
    """Return the Gini coefficient with the n / (n - 1) correction: 0 all equal, 1 one holds all.

    G = sum_i (2 i - n - 1) x_i / (n sum x) for x sorted ascending, times n / (n - 1) (Deltas 2003,
    Rev. Econ. Stat. 85). NaN for fewer than two holdings, when nothing is held, or when one of them
    is not known (NaN).
    """
    x = np.sort(np.asarray(holdings, dtype=float))
    n, total = len(x), x.sum()
    if n < 2 or not total > 0:
        return float("nan")
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * total) * n / (n - 1))


def nakamoto(holdings: ArrayLike, share: float = 0.5) -> float:
    """Return the least number of devices that together hold more than `share` of the total.

    NaN when nothing is held, or when a holding is not known (NaN).
    """
    x = np.sort(np.asarray(holdings, dtype=float))[::-1]
    if not x.sum() > 0:
        return float("nan")
    return float(np.searchsorted(np.cumsum(x), share * x.sum(), side="right") + 1)


def fairness(paid: ArrayLike, deserved: ArrayLike) -> dict[str, float]:
    """Compare shares of pay with deserved ones; both are scaled to sum to 1, negative values are 0.

    `l1`: sum of absolute differences (0 to 2). `rank`: Spearman's correlation. `under`: the largest
    shortfall of a share. All are NaN when either sums to zero or holds NaN.
    """
    p, d = (np.maximum(np.asarray(v, dtype=float), 0) for v in (paid, deserved))
    if not (p.sum() > 0 and d.sum() > 0):
        return {"l1": float("nan"), "rank": float("nan"), "under": float("nan")}
    p, d = p / p.sum(), d / d.sum()
    varied = len(p) > 1 and np.ptp(p) > 0 and np.ptp(d) > 0
    from scipy import stats

    rank = float(stats.spearmanr(p, d).statistic) if varied else float("nan")
    return {"l1": float(np.abs(p - d).sum()), "rank": rank, "under": float(np.max(d - p))}


def paired_gaps(
    gains: Mapping[str, ArrayLike], level: float = 0.95, *, sequential: bool = False
) -> dict[str, tuple[float, float, float]]:
    """Return mean, low and high of each deviation's gain, with simultaneous intervals.

    `gains` has one value per seed. Each interval has level 1 - (1 - level) / m for m deviations
    (Bonferroni): all hold at once with probability `level` or more. Infinite for a single seed.

    Args:
        gains: by deviation.
        level: of all intervals together.
        sequential: the intervals hold at every moment at once, however often one looked and added
            seeds (Lai's t sequence); else they are Student's, for a number of seeds that was fixed
            before.
    """
    alpha = (1 - level) / max(1, len(gains))
    gaps = {}
    for name, values in gains.items():
        x = np.asarray(values, dtype=float)
        bound = _bound(x, alpha, sequential=sequential)
        gaps[name] = (bound.mean, bound.low, bound.high)
    return gaps


def _bound(x: Float64, alpha: float, *, sequential: bool) -> Bound:
    if len(x) < 2:
        return Bound(float(x.mean()), -np.inf, np.inf)
    return t_sequence(x, alpha) if sequential else student(x, 1 - alpha)
