"""Tables of a verdict for reading, in terminal and report: numbers with their intervals as text."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from experiments.numerals import with_interval
from experiments.scorecard.deviations import COLUMNS, varies
from experiments.scorecard.winner import Verdict


def gains_in_words(verdict: Verdict) -> pd.DataFrame:
    """Return one row per mechanism, environment and deviation: who deviates, and what it gains.

    An environment is there where the sweep has several levels of it. A gain that is the same in all
    seeds has no interval: one of no width would promise too much.
    """
    gains = verdict.gains
    keys = _varied(gains, [c for c in gains.columns if c not in COLUMNS])
    shown = gains[[*keys, "deviation", "devices", "seeds"]].copy()
    if gains.empty:
        return shown
    bounds = ["gain_low", "gain_high"]
    fixed = ~varies(gains)
    known = gains.assign(**{bound: gains[bound].mask(fixed) for bound in bounds})
    texts = pd.Series(with_interval(known, "gain"), index=gains.index)
    shown["gain"] = texts.mask(fixed & (gains["seeds"] > 1), texts + " in all seeds")
    return shown


def compatibility(verdict: Verdict, keys: Sequence[str]) -> pd.DataFrame:
    """Return per mechanism and environment whether it is incentive compatible, and on what basis.

    `keys` are the factors of the sweep.
    """
    if "incentive_compatible" not in verdict.table:
        return pd.DataFrame()
    rows = verdict.table[verdict.table["incentive_compatible"].notna()]
    shown = rows[_varied(rows, keys)].copy()
    shown["incentive compatible"] = rows["incentive_compatible"]
    shown["of"] = rows["ic_basis"]
    return shown


def sybils(verdict: Verdict, keys: Sequence[str]) -> pd.DataFrame:
    """Return per mechanism and environment what k identities gain, a column for each k."""
    measured = [c for c in verdict.table.columns if c.startswith("sybil_gain")]
    gains = [c for c in measured if not c.endswith(("_low", "_high"))]
    rows = verdict.table[verdict.table[gains].notna().any(axis=1)]
    shown = rows[_varied(rows, keys)].copy()
    for column in gains:
        k = column.rpartition("_")[2]
        shown[f"{k} identities"] = with_interval(rows, column)
    return shown


def _varied(rows: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """Return the first key, the mechanism, and those that have several levels in these rows."""
    return [key for key in keys if key == keys[0] or rows[key].nunique() > 1]
