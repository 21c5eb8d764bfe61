"""Gains of devices that deviate and of operators that split themselves, paired by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from experiments.numerals import how_many
from experiments.orderings import place_of
from experiments.scorecard.measures import paired_gaps
from experiments.scorecard.settings import ScorecardSettings

COLUMNS = ("deviation", "devices", "seeds", "gain", "gain_low", "gain_high", "spread")
"""Of a table of gains: the level, how many devices deviate there at once, the pairs of runs, the
mean gain per device with its simultaneous interval, and the gain's range over seeds."""
METHODS = {False: "Student, Bonferroni", True: "sequential: seeds were added"}
"""How simultaneous intervals are made, by whether they hold for who looked and went on."""
LEAST_SEEDS = 3
"""With fewer pairs of runs nothing is said of incentive compatibility."""
ROUNDING = 1e-9
"""Share of a gain below which its range over seeds is none."""


def deviation_gains(people: pd.DataFrame, s: ScorecardSettings) -> pd.DataFrame:
    """Return one row per deviation: its gain over the same devices when nobody attacks.

    `people` has one row per run and device of one mechanism and environment: `seed`, `device`,
    `attacks`, `utility` and the level of the adversary. The gain of a seed is the mean over the
    deviating devices; a seed in which it is not known does not count.
    """
    each = _gains_by_seed(people, s)
    gaps = paired_gaps(
        {level: gains for level, (_, gains) in each.items()}, s.level, sequential=bool(s.sequential)
    )
    rows = []
    for level, (devices, gains) in each.items():
        rows.append((level, devices, len(gains), *gaps[level], max(gains) - min(gains)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def deviation_gap(gains: pd.DataFrame, s: ScorecardSettings) -> dict[str, Any]:
    """Return the largest gain of a table of `deviation_gains`, and what it says of incentives.

    Deviations of one device count; where only coalitions were tried, these, and the verdict is
    "undetermined". Nothing is returned without a deviation.
    """
    alone = gains[gains["devices"] == 1]
    counted = gains if alone.empty else alone
    worst = place_of("max", counted["gain"])
    if worst is None:
        return {}
    best = counted.iloc[worst]
    verdict, basis = _verdict(counted, coalitions=alone.empty, s=s)
    return {
        "ic_gap": float(best["gain"]),
        # Bounds of the largest gain, whichever deviation has it.
        "ic_gap_low": float(counted["gain_low"].max()),
        "ic_gap_high": float(counted["gain_high"].max()),
        "best_deviation": best["deviation"],
        "incentive_compatible": verdict,
        "ic_basis": basis,
    }


def varies(gains: pd.DataFrame) -> pd.Series:
    """Return of each row of a table of gains whether its gain differs between seeds."""
    return gains["spread"] > ROUNDING * gains["gain"].abs()


def _verdict(counted: pd.DataFrame, *, coalitions: bool, s: ScorecardSettings) -> tuple[str, str]:
    """Return yes, no or undetermined, and in words what that rests on."""
    varied = varies(counted)
    enough = counted["seeds"] >= LEAST_SEEDS
    seeds = int(counted["seeds"].min())
    basis = [
        how_many(len(counted), "deviation"),
        how_many(seeds, "seed"),
        f"simultaneous {100 * s.level:.4g} % intervals ({METHODS[bool(s.sequential)]})",
    ]
    doubts = {
        "only coalitions were tried": coalitions,
        f"fewer than {LEAST_SEEDS} seeds": not enough.all(),
        "a gain is the same in all seeds": not varied[enough].all(),
    }
    doubted = [doubt for doubt, held in doubts.items() if held]
    sure = counted[enough & varied]
    verdict = "undetermined"
    if not coalitions and (sure["gain_low"] > s.tolerance).any():
        verdict = "no"
    elif not doubted and (counted["gain_high"] <= s.tolerance).all():
        verdict = "yes"
    return verdict, ", ".join([*basis, *doubted])


def coalition_warnings(gains: pd.DataFrame, called: Callable[[str], str] = str) -> list[str]:
    """Return a sentence for each level of a table of gains at which several devices deviate.

    `called`: returns what people call a level, a number with its factor.
    """
    if gains.empty:
        return []
    most = gains.groupby("deviation", sort=False)["devices"].max()
    return [
        f"{called(str(level))}: {devices} devices deviate at once, a coalition: "
        "its gain is no evidence on incentive compatibility"
        for level, devices in most.items()
        if devices > 1
    ]


def _gains_by_seed(
    people: pd.DataFrame, s: ScorecardSettings
) -> dict[str, tuple[int, list[float]]]:
    """Return per deviation how many devices deviate at most, and its mean gain in each seed."""
    honest = _honest_utility(people, s)
    found: dict[str, tuple[int, list[float]]] = {}
    for level in _deviations(people, s):
        deviating = _attackers(people, level, s)
        same = pd.MultiIndex.from_frame(deviating[["seed", "device"]])
        each = deviating["utility"] - honest.reindex(same).to_numpy()
        gains = each.groupby(deviating["seed"]).mean().dropna()
        if len(gains):
            sizes = deviating["seed"].value_counts()[gains.index]
            found[str(level)] = int(sizes.max()), gains.tolist()
    return found


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
    known = [gain for gain in gains if not pd.isna(gain)]
    if not known:
        return float("nan"), float("nan"), float("nan")
    return paired_gaps({level: known}, s.level, sequential=bool(s.sequential))[level]


def _attackers(people: pd.DataFrame, level: str, s: ScorecardSettings) -> pd.DataFrame:
    """Return the attacking devices at a level of the adversary."""
    return people[(people[s.adversary].astype(str) == level) & people["attacks"].astype(bool)]


def _total_utility(attackers: pd.DataFrame) -> Mapping[Any, float]:
    """Return the utility of all attackers together by seed."""
    return dict(attackers.groupby("seed")["utility"].sum())


def _honest_utility(people: pd.DataFrame, s: ScorecardSettings) -> pd.Series:
    """Return utilities by seed and device at the level where nobody attacks."""
    honest = people[people[s.adversary].astype(str) == s.honest]
    return honest.set_index(["seed", "device"])["utility"]
