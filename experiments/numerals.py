"""Numbers as text for terminal, page and figures: 12,000, −0.250, or a dash for a missing one."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def digits(column: Iterable[Any]) -> int:
    """Return the decimals of a column: none for whole numbers, else three digits of the largest."""
    values = [value for value in map(_real, column) if math.isfinite(value)]
    # With a tolerance: sums of fractions are whole but for their rounding.
    if all(abs(value - round(value)) <= 1e-9 for value in values):
        return 0
    return max(0, 2 - math.floor(math.log10(max(map(abs, values)))))


def number(value: Any, decimals: int) -> str:
    """Return a number as text with so many decimals, thousands separated; never −0."""
    real = _real(value)
    if math.isnan(real):
        return "–"
    return f"{real:z,.{decimals}f}".replace("-", "−")


def compact(value: float) -> str:
    """Return a number with four digits that count, or all digits of a larger one: −16,808."""
    text = f"{value:,.0f}" if 1_000 <= abs(value) < 1e12 else f"{value:.4g}"
    return text.replace("-", "−")


def whole(value: int) -> str:
    """Return a whole number as text, thousands separated, to its last digit: −1,287,502."""
    return f"{value:,}".replace("-", "−")


def _real(value: Any) -> float:
    """Return a number as a float; NaN for what stands for a missing one, as None and `pd.NA`."""
    try:
        return float(value)
    except TypeError:
        return math.nan


def how_many(count: int, noun: str) -> str:
    """Return a number with its noun: 1 seed, 3 seeds, 1,200 runs."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """Return a time in words: 0.3 s, 90 s, 12 min, 3.4 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"


def plain(value: float) -> str:
    """Return a number as short text: 12,000 or 0.125, three digits where it is not whole."""
    is_whole = float(value).is_integer() and abs(value) < 1e12
    if math.isfinite(value) and (is_whole or 1_000 <= abs(value) < 1e12):
        return number(value, 0)
    return f"{value:.3g}".replace("-", "−")


def with_interval(table: pd.DataFrame, column: str) -> list[str]:
    """Return a column with its interval as text: −1,204 (−1,600 to −808).

    The bounds are the columns `<column>_low` and `<column>_high`; missing and infinite ones are
    left out.
    """
    columns = [table[name] for name in (column, f"{column}_low", f"{column}_high")]
    decimals = digits(chain(*columns))
    texts = []
    for row in zip(*columns, strict=True):
        value, low, high = (number(v, decimals) for v in row)
        bounded = all(math.isfinite(_real(bound)) for bound in row[1:])
        texts.append(f"{value} ({low} to {high})" if bounded else value)
    return texts


def rounded(table: pd.DataFrame, factors: Collection[str] = ()) -> pd.DataFrame:
    """Return a table with its numbers as text.

    The levels of factors keep the digits that distinguish them.
    """
    shown = table.copy()
    for name in shown.columns[shown.dtypes.map(lambda d: d.kind == "f")]:
        decimals = digits(shown[name])
        shown[name] = [f"{v:g}" if name in factors else number(v, decimals) for v in shown[name]]
    return shown
