"""Gains of devices that deviate and of operators that split themselves, paired by seed."""

from __future__ import annotations

from typing import Any

import pandas as pd

from experiments.scorecard.measures import paired_gaps
from experiments.scorecard.settings import ScorecardSettings


def deviation_gap(people: pd.DataFrame, s: ScorecardSettings) -> dict[str, Any]:
    """Return the largest mean gain of a deviation over the same devices when nobody attacks.

    `people` has one row per run and device of one mechanism and environment: `seed`, `device`,
    `attacks`, `utility` and the level of the adversary. Nothing is returned without a deviation.
    """
    gains = _deviation_gains(people, s)
    if not gains:
        return {}
    gaps = paired_gaps(gains, s.level)
    worst = max(gaps, key=lambda level: gaps[level][0])
    # Bounds of the largest gap, whichever deviation has it.
    low = max(gap[1] for gap in gaps.values())
    high = max(gap[2] for gap in gaps.values())
    verdict = "undetermined"
    if high <= s.tolerance:
        verdict = "yes"
    elif low > s.tolerance:
        verdict = "no"
    return {
        "ic_gap": gaps[worst][0],
        "ic_gap_low": low,
        "ic_gap_high": high,
        "best_deviation": worst,
        "incentive_compatible": verdict,
    }


def _deviation_gains(people: pd.DataFrame, s: ScorecardSettings) -> dict[str, list[float]]:
    """Return per deviation its gain in each seed: mean over deviating devices, against honesty."""
    honest = _honest_utility(people, s)
    seeds = set(honest.index.get_level_values("seed"))
    gains = {}
    for level in _deviations(people, s):
        deviating = _attackers(people, level, s)
        gain = []
        for seed, group in deviating.groupby("seed"):
            if seed in seeds:
                before = honest.loc[seed].reindex(group["device"])
                gain.append((group.set_index("device")["utility"] - before).mean())
        if gain:
            gains[str(level)] = gain
    return gains


def _deviations(people: pd.DataFrame, s: ScorecardSettings) -> list[str]:
    """Return the levels that are deviations: those that the settings name, else all others."""
    if s.deviations is not None:
        return list(s.deviations)
    other = {s.honest, *s.sybils.values(), *s.single.values()}
    levels = dict.fromkeys(people[s.adversary].astype(str))
    return [level for level in levels if level not in other]


def sybil_gains(people: pd.DataFrame, s: ScorecardSettings) -> dict[str, float]:
    """Return per k what k identities gain over their operator as one, with an interval."""
    row: dict[str, float] = {}
    for k, level in s.sybils.items():
        mean, low, high = _sybil_gain(people, level, s.single.get(k), s)
        row |= {f"sybil_gain_{k}": mean, f"sybil_gain_{k}_low": low, f"sybil_gain_{k}_high": high}
    return row


def _sybil_gain(
    people: pd.DataFrame, level: str, single: str | None, s: ScorecardSettings
) -> tuple[float, float, float]:
    """Return what k identities earn together less what their one operator earns as one.

    As one: at the level `single`, where the operator's group plays with one identity and the others
    wait; without such a level, the first of its devices when nobody attacks, among one more honest
    operator for each further identity.
    """
    together = _total_utility(_attackers(people, level, s))
    if single is not None:
        alone = _total_utility(_attackers(people, single, s))
    else:
        honest = dict(_honest_utility(people, s).items())
        first = _attackers(people, level, s).groupby("seed")["device"].min()
        operators = [key for key in first.items() if key in honest]
        alone = {seed: float(honest[seed, device]) for seed, device in operators}
    gains = [together[seed] - alone[seed] for seed in sorted(together.keys() & alone.keys())]
    if not gains:
        return float("nan"), float("nan"), float("nan")
    return paired_gaps({level: gains}, s.level)[level]


def _attackers(people: pd.DataFrame, level: str, s: ScorecardSettings) -> pd.DataFrame:
    """Return the attacking devices at a level of the adversary."""
    return people[(people[s.adversary].astype(str) == level) & people["attacks"].astype(bool)]


def _total_utility(attackers: pd.DataFrame) -> dict[Any, float]:
    """Return the utility of all attackers together by seed."""
    return dict(attackers.groupby("seed")["utility"].sum())


def _honest_utility(people: pd.DataFrame, s: ScorecardSettings) -> pd.Series:
    """Return utilities by seed and device at the level where nobody attacks."""
    honest = people[people[s.adversary].astype(str) == s.honest]
    return honest.set_index(["seed", "device"])["utility"]
