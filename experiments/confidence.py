"""Confidence sequences: intervals of a mean that hold at every moment at once.

Whoever looks after every run and stops when the answer pleases still has intervals that cover the
mean with the stated probability. Intervals of a fixed number of runs, as Student's, do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.intervals import interval
from mechanisms.plugin import nearest

Float64 = NDArray[np.float64]

PRIOR = 0.5
"""Of the t sequence: its prior of mean / deviation is normal with the standard deviation 1 / this.
Any value is valid; this one is narrow where a deviation gains about twice its spread."""
MOST_BET = 0.5
"""Of the empirical Bernstein sequence: the largest bet on a single value."""

ASSUMED = {
    "t": "gains of runs are about normal",
    "empirical-bernstein": "gains of runs lie within the stated limits",
}
"""What the intervals of each method rest on."""


@dataclass(frozen=True)
class Bound:
    """A mean and the ends of its interval; infinite ends where too little is known."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2


def student(values: NDArray[np.floating[Any]], level: float = 0.95) -> Bound:
    """Return a mean with Student's interval, for a number of values that was fixed before."""
    return Bound(float(values.mean()), *interval(values, "t", level))


@dataclass(frozen=True)
class Sequence:
    """How intervals are made.

    Args:
        alpha: probability that an interval misses the mean at any moment.
        method: "t" for values that are about normal; "empirical-bernstein" for values that are
            known to lie within limits, whatever their distribution.
        least: of "t", the smallest standard deviation that is believed, in units of the values:
            values that happened to be alike do not prove that all are.
        limits: of "empirical-bernstein", the least and the largest possible value.

    Raises ValueError for an unknown method, and for limits that are missing or no interval.
    """

    alpha: float = 0.05
    method: str = "t"
    least: float = 0.0
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.method not in ASSUMED:
            known = nearest(self.method, list(ASSUMED))
            raise ValueError(f"method = {self.method!r}: no such method; {known}")
        if self.method == "empirical-bernstein" and not self._bounded:
            raise ValueError(
                f"limits = {self.limits!r}: must be the least and the largest possible value"
            )

    @property
    def _bounded(self) -> bool:
        return self.limits is not None and self.limits[0] < self.limits[1]

    def bound(self, values: ArrayLike) -> Bound:
        """Return the mean of values, one per run in the order of runs, with its interval.

        Raises ValueError for a value outside the limits.
        """
        x = np.asarray(values, dtype=np.float64)
        if not len(x):
            return Bound(math.nan, -math.inf, math.inf)
        if self.limits is not None and self.method == "empirical-bernstein":
            return bernstein_sequence(x, self.alpha, self.limits)
        return t_sequence(x, self.alpha, self.least)


def t_sequence(x: Float64, alpha: float, least: float = 0.0) -> Bound:
    """Return the interval of Lai's t confidence sequence, for normal values of unknown spread.

    The likelihood ratio of mean / deviation ~ N(0, 1 / c^2) against 0, under the right Haar prior
    of the deviation, is a martingale of the scale-invariant data:

        E_n = sqrt(c^2 / (n + c^2)) (V / (V - S^2 / (n + c^2)))^(n / 2)

    with S the sum and V the sum of squares of the values less the mean that is tested. Means with
    E_n < 1 / alpha are in the interval. Lai 1976, Ann. Statist. 4; Wang and Ramdas 2024,
    arXiv:2310.03722. A standard deviation below `least` counts as `least`.
    """
    n, c2 = len(x), PRIOR**2
    mean = float(x.mean())
    squares = max(float(((x - mean) ** 2).sum()), n * least**2)
    # log R of V < R (V - S^2 / (n + c^2)).
    log_ratio = (2 * math.log(1 / alpha) + math.log((n + c2) / c2)) / n
    ratio = math.exp(min(log_ratio, 700.0))
    left = 1 - ratio * c2 / (n + c2)
    if n < 2 or left <= 0:
        return Bound(mean, -math.inf, math.inf)
    half = math.sqrt(squares * (ratio - 1) / left / n)
    return Bound(mean, mean - half, mean + half)


def bernstein_sequence(x: Float64, alpha: float, limits: tuple[float, float]) -> Bound:
    """Return the interval of the empirical Bernstein confidence sequence, for bounded values.

    It assumes nothing but the limits: values may have any distribution, also one that changes with
    what came before, as long as their mean is the same. Waudby-Smith and Ramdas 2024, JRSS-B 86,
    theorem 2 (predictable plug-in), intersected over time.
    """
    low, width = limits[0], limits[1] - limits[0]
    if x.min() < low or x.max() > limits[1]:
        worst = float(x.min()) if x.min() < low else float(x.max())
        raise ValueError(f"limits = {limits!r}: a value of {worst:g} lies outside")
    u = (x - low) / width
    t = np.arange(1, len(u) + 1)
    means = (0.5 + np.cumsum(u)) / (t + 1)
    spreads = (0.25 + np.cumsum((u - means) ** 2)) / (t + 1)
    # What is bet on a value is known before it.
    mean_before = np.concatenate([[0.5], means[:-1]])
    spread_before = np.concatenate([[0.25], spreads[:-1]])
    log_term = math.log(2 / alpha)
    bets = np.sqrt(2 * log_term / (spread_before * t * np.log(1 + t)))
    bets = np.minimum(bets, MOST_BET)
    losses = (u - mean_before) ** 2 * (-np.log1p(-bets) - bets)
    total = np.cumsum(bets)
    centre = np.cumsum(bets * u) / total
    half = (log_term + np.cumsum(losses)) / total
    lower = max(0.0, float((centre - half).max()))
    upper = min(1.0, float((centre + half).min()))
    return Bound(float(x.mean()), low + width * lower, low + width * upper)
