"""Confidence intervals of means over runs, and how they were made, in words."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.special import stdtrit  # `scipy.stats` takes a second longer to import

FEW = 10
"""Fewer runs than this have Student's interval: percentiles of a bootstrap are too narrow."""
RESAMPLES, BLOCK = 2_000, 4_000_000
"""Of a bootstrap: how many, and how many values are drawn at a time."""
WAYS = ("auto", "bootstrap", "t", "none")


def way_of(runs: int) -> str:
    """Return how the interval of a mean over so many runs is made: none, t or bootstrap."""
    if runs < 2:
        return "none"
    return "t" if runs < FEW else "bootstrap"


def interval(values: np.ndarray, how: str = "auto", level: float = 0.95) -> tuple[float, float]:
    """Return the confidence interval of a mean; NaN for fewer than two values.

    Args:
        values: one per run, all known.
        how: "t" (Student), "bootstrap" (percentiles of 2,000 resampled means) or "auto": Student's
            for fewer than ten values, else the bootstrap.
        level: of the interval.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    chosen = way_of(len(values)) if how == "auto" else how
    if chosen == "t":
        quantile = stdtrit(len(values) - 1, (1 + level) / 2)
        half = quantile * values.std(ddof=1) / len(values) ** 0.5
        return float(values.mean() - half), float(values.mean() + half)
    if chosen != "bootstrap":
        raise ValueError(f"ci = {how!r}: must be auto, bootstrap, t or none")
    rng = np.random.default_rng(0)
    n = len(values)
    step = BLOCK // n + 1
    means = []
    for start in range(0, RESAMPLES, step):
        size = min(RESAMPLES - start, step)
        means.append(values[rng.integers(n, size=(size, n))].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def band(values: np.ndarray) -> tuple[float, float]:
    """Return the edges of the band around a mean: NaN for fewer than two values.

    Of two values these values themselves: Student's interval would be thirteen times as wide as
    they are apart, and show nothing. Of more their 95 % confidence interval.
    """
    if len(values) == 2:
        return float(values.min()), float(values.max())
    return interval(values)


def bands_in_words(seeds: Iterable[int], what: str = "Bands") -> str:
    """Return a sentence on how bands around means over these numbers of seeds were made.

    `what` they are drawn as: "Bands" or "Whiskers".
    """
    counts = {int(n) for n in seeds}
    one = what.lower().removesuffix("s")
    two = f"Where there are two seeds the {one} is what lies between them, no interval."
    others = counts - {2}
    if not others:
        return f"{what}: what lies between the two seeds, no interval."
    text = in_words(others, what)
    return f"{text} {two}" if 2 in counts else text


def in_words(runs: Iterable[int], what: str = "Intervals", level: float = 0.95) -> str:
    """Return a sentence on how the intervals of means over these numbers of runs were made.

    As "Intervals: 95 %, Student's t (fewer than ten runs)."; it promises none where there is none.
    """
    counts = sorted({int(n) for n in runs})
    ways = {way_of(n) for n in counts}
    if ways <= {"none"}:
        return f"{what}: none, there is one run each."
    made = {"t": "Student's t (fewer than ten runs)", "bootstrap": "bootstrap of runs"}
    parts = [text for way, text in made.items() if way in ways]
    if "none" in ways:
        parts.append("none for a single run")
    return f"{what}: {100 * level:.4g} %, {'; '.join(parts)}."
