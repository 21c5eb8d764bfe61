"""The prediction market: its accounts on three known data, and on a thousand."""

from __future__ import annotations

import pandas as pd

from experiments.reproduce.evidence import Evidence
from experiments.reproduce.measuring import by_seed
from experiments.reproduce.sum.flaws import shown
from experiments.reproduce.verdicts import Measure

KNOWN, MARKET = "defects", "prediction-market"
"""The sweeps `defects.toml` and `prediction-market.toml`."""
ARMS = {
    "shipped": "as shipped, defaults",
    "shipped_reset": "as shipped, reset",
    "shipped_grouped": "as shipped, grouped",
    "shipped_grouped_reset": "as shipped, grouped, reset",
    "shipped_all": "as shipped, grouped, reset, greater",
    "grouped_once": "repaired, grouped, accuracies of the first pass",
    "grouped": "repaired, grouped",
    "grouped_greater": "repaired, grouped, greater",
    "repaired": "repaired, each datum by itself",
}
GOOD, SLOWER, SLOWEST, BAD, WORSE = range(5)
"""Devices of the preset, two bad ones of the same kind."""
ALL = 300.0
"""Tokens that good, bad and the bounty begin with in the market of three data."""


def holds(arm: str, device: int) -> Measure:
    """Measure what good (0) or bad (1) has after three data, in tokens: from 100."""

    def tokens(run: pd.DataFrame) -> float:
        return float(_end(run).loc[run["device"] == device, "percent"].iloc[0])

    return by_seed(arm, "balances", tokens, KNOWN)


def owner_keeps(arm: str) -> Measure:
    """Measure what is left of a bounty of 100 after three data: nothing is lost, nothing made."""
    return by_seed(arm, "balances", lambda run: ALL - _end(run)["percent"].sum(), KNOWN)


def returns(arm: str, *devices: int) -> Measure:
    """Measure the mean balance of some devices in the end, in per cent of the start."""

    def percent(run: pd.DataFrame) -> float:
        return float(_end(run).loc[run["device"].isin(devices), "percent"].mean())

    return by_seed(arm, "balances", percent, MARKET)


def losers(arm: str) -> Measure:
    """Measure how many of the three good contributors end with less than they began with."""

    def count(run: pd.DataFrame) -> float:
        end = _end(run)
        return float((end.loc[~end["adversary"].astype(bool), "percent"] < 100).sum())

    return by_seed(arm, "balances", count, MARKET)


def _end(run: pd.DataFrame) -> pd.DataFrame:
    return run[run["moment"] == "end"]


def cpu_s(evidence: Evidence, arm: str) -> list[float]:
    """Return the CPU seconds of every run of an arm; none where it was not played."""
    if MARKET not in evidence.results:
        return []
    runs = evidence.results[MARKET].runs()
    return runs.loc[(runs["arm"] == arm) & (runs["status"] == "done"), "cpu_s"].tolist()


def table(evidence: Evidence) -> pd.DataFrame:
    """Return per kind of accounts the returns of everybody, and what a run costs."""
    rows = []
    for arm, name in ARMS.items():
        if not returns(arm, GOOD)(evidence):
            continue
        rows.append(
            {
                "accounts": name,
                "good, %": shown(returns(arm, GOOD)(evidence)),
                "slower good, %": shown(returns(arm, SLOWER)(evidence)),
                "slowest good, %": shown(returns(arm, SLOWEST)(evidence)),
                "bad, %": shown(returns(arm, BAD, WORSE)(evidence)),
                "good ones that lose, of 3": shown(losers(arm)(evidence)),
                "CPU s": shown(cpu_s(evidence, arm)),
            }
        )
    return pd.DataFrame(rows)
