"""Numbers as they are read, on the terminal, on a page and in figures: 12,000, −0.250, or a dash where there is none."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd


def digits(column: pd.Series) -> int:
    """Decimals to print a column with: none for whole or large numbers, else three significant ones of the largest."""
    values = column.dropna().astype(float)
    values = values[np.isfinite(values)]
    if np.allclose(
        values, values.round(), rtol=0, atol=1e-9
    ):  # sums of fractions are whole but for their rounding
        return 0
    return max(0, 2 - math.floor(math.log10(values.abs().max())))


def number(value: Any, decimals: int) -> str:
    """With so many decimals, thousands separated; never −0."""
    return "–" if pd.isna(value) else f"{float(value):z,.{decimals}f}".replace("-", "−")


def with_interval(table: pd.DataFrame, column: str) -> list[str]:
    """A column with its bounds `<column>_low` and `<column>_high`, where they are known: −1,204 (−1,600 to −808)."""
    parts = [table[name] for name in (column, f"{column}_low", f"{column}_high")]
    decimals = digits(pd.concat(parts))
    rows = [[number(v, decimals) for v in row] for row in zip(*parts, strict=True)]
    return [value if low == "–" else f"{value} ({low} to {high})" for value, low, high in rows]


def rounded(table: pd.DataFrame, factors: Collection[str] = ()) -> pd.DataFrame:
    """A table to read; the levels of factors keep what tells them apart."""
    shown = table.copy()
    for name in shown.columns[shown.dtypes.map(lambda d: d.kind == "f")]:
        decimals = digits(shown[name])
        shown[name] = [f"{v:g}" if name in factors else number(v, decimals) for v in shown[name]]
    return shown
