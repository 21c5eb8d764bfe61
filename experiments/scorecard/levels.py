"""Checks that the factors and levels of a scorecard are those of its sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.numerals import how_many
from experiments.rundir import RunError
from experiments.scorecard.settings import ScorecardSettings
from mechanisms.plugin import nearest

HONEST = "honest"
"""Behaviour of a device that does not deviate, in every role."""
IDLE_KEYS = {
    "name", "count", "devices", "from_round", "until_round", "learner", "learner_params",
    "damage_benefit", "adversary", "habits", "initial_balance",
}  # fmt: skip
"""Keys of a group that do not change by which behaviour its members act; when they act, and with
how much money, is no deviation."""
NEUTRAL = {"presence": 1.0, "identities": "own"}
"""Values at which other keys change nothing; of keys not named here: zero or empty."""
ROLES_OF = {"mechanism": "what is compared", "adversary": "the attacks"}


def check_levels(
    s: ScorecardSettings, place: str, factors: Sequence[str], plan: pd.DataFrame
) -> list[str]:
    """Return the names of the remaining factors, the environments.

    `plan` has one row per run or cell: its factors and, at the honest level, its `scenario` as
    plain values. Raises
    `RunError` for a factor or level that the sweep does not have, and for an honest level at which
    devices deviate.
    """
    for key in ROLES_OF:
        if getattr(s, key) not in factors:
            raise RunError(f"{place}: {_no_factor(s, key, factors)}")
    levels = list(dict.fromkeys(plan[s.adversary].astype(str)))
    for key, level in _named_levels(s):
        if level not in levels:
            raise RunError(f"{place}: {_no_level(s, key, level, levels)}")
    _check_honest(s, place, plan)
    return [f for f in factors if f not in (s.mechanism, s.adversary)]


def _no_factor(s: ScorecardSettings, key: str, factors: Sequence[str]) -> str:
    """Say that a factor is missing; of a default, that nobody wrote, say what to add."""
    factor = getattr(s, key)
    if key in s.model_fields_set:
        return f"scorecard.{key} = {factor!r}: no such factor; {nearest(factor, list(factors))}"
    known = ", ".join(factors) or "none"
    return (
        f'scorecard.{key}: not given, and no factor is called {factor!r}; add {key} = "FACTOR" '
        f"under [scorecard], the factor whose levels are {ROLES_OF[key]}; factors: {known}"
    )


def _named_levels(s: ScorecardSettings) -> list[tuple[str, str]]:
    """Return the levels that the settings name, each with its key."""
    return [
        ("honest", s.honest),
        *(("deviations", level) for level in s.deviations or ()),
        *((f"sybils.{k}", level) for k, level in s.sybils.items()),
        *((f"single.{k}", level) for k, level in s.single.items()),
    ]


def _no_level(s: ScorecardSettings, key: str, level: str, levels: Sequence[str]) -> str:
    """Say that a level is missing; of a default, that nobody wrote, say what to add."""
    if key in s.model_fields_set or key != "honest":
        return (
            f"scorecard.{key}: {s.adversary} has no level {level!r}; {nearest(level, list(levels))}"
        )
    return (
        f"scorecard.honest: not given, and {s.adversary} has no level {level!r}; add "
        f'honest = "LEVEL" under [scorecard], the level where nobody deviates; '
        f"levels: {', '.join(levels)}"
    )


def _check_honest(s: ScorecardSettings, place: str, plan: pd.DataFrame) -> None:
    """Raise `RunError` when devices deviate at the level that is called honest."""
    for scenario in plan.loc[plan[s.adversary].astype(str) == s.honest, "scenario"]:
        for group in scenario.get("adversaries", ()):
            if deviates(group):
                size = how_many(len(group.get("devices", ())) or group["count"], "device")
                raise RunError(
                    f"{place}: scorecard.honest = {s.honest!r}: {size} of group "
                    f"{group['name']!r} deviate at this level; name a level of {s.adversary} "
                    "without deviating devices"
                )


def deviates(group: Mapping[str, Any]) -> bool:
    """Return whether a group of a scenario, as plain values, has members that deviate.

    A behaviour is a key with its parameters beside it; all of them must be honest in a group that
    does not.
    """
    if not (group.get("devices") or group.get("count")):
        return False
    own = {key: value for key, value in group.items() if key not in IDLE_KEYS}
    for key, value in own.items():
        neutral = HONEST if f"{key}_params" in group else NEUTRAL.get(key)
        changed = bool(value) if neutral is None else value != neutral
        if changed and not key.endswith("_params"):
            return True
    return False
