"""Numbers as text for terminal, page and figures: 12,000, −0.250, or a dash for a missing one."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd


def digits(column: pd.Series) -> int:
    """Return the decimals of a column: none for whole numbers, else three digits of the largest."""
    values = column.dropna().astype(float)
    values = values[np.isfinite(values)]
    # With a tolerance: sums of fractions are whole but for their rounding.
    if np.allclose(values, values.round(), rtol=0, atol=1e-9):
        return 0
    return max(0, 2 - math.floor(math.log10(values.abs().max())))


def number(value: Any, decimals: int) -> str:
    """Return a number as text with so many decimals, thousands separated; never −0."""
    if pd.isna(value):
        return "–"
    return f"{float(value):z,.{decimals}f}".replace("-", "−")


def how_many(count: int, noun: str) -> str:
    """Return a number with its noun: 1 seed, 3 seeds, 1,200 runs."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def plain(value: float) -> str:
    """Return a number as short text: 12,000 or 0.125, three digits where it is not whole."""
    if math.isfinite(value) and float(value).is_integer() and abs(value) < 1e12:
        return number(value, 0)
    return f"{value:.3g}".replace("-", "−")


def with_interval(table: pd.DataFrame, column: str) -> list[str]:
    """Return a column with its interval as text: −1,204 (−1,600 to −808).

    The bounds are the columns `<column>_low` and `<column>_high`; missing and infinite ones are
    left out.
    """
    columns = [table[name] for name in (column, f"{column}_low", f"{column}_high")]
    decimals = digits(pd.concat(columns))
    texts = []
    for row in zip(*columns, strict=True):
        value, low, high = (number(v, decimals) for v in row)
        bounded = all(pd.notna(bound) and math.isfinite(bound) for bound in row[1:])
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
