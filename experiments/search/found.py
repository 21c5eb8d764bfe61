"""What a search found: the answer in words, as a scenario, and the tables that it rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import tomli_w

from experiments.confidence import ASSUMED, Bound
from experiments.confidence import Sequence as Intervals
from experiments.numerals import compact, how_many
from experiments.search.attack import Attack, Tried
from experiments.search.rule import Confirmed, Point

COMPARED = ("what", "in_search", "fresh", "low", "high", "seeds")
"""Columns of the table of scores in the search beside those on fresh seeds."""
HISTORY = ("search", "trial", "score", "best")
"""Columns of the history: the search, the trial of it, its score, the best one so far."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Args:
        name: of the search.
        lines: the answer in words, then how sure it is.
        toml: the answer as keys of a scenario, to be pasted; "" without one.
        scenario: the answer as a scenario that can be run, "" without one.
        frames: tables by name: trials, fresh, history, and sensitivity where it was asked for.
        of: what the scores are, for the axes of figures.
        runs: runs asked for.
        answered: whether the question was answered: an attack was played, or parameters hold.
    """

    name: str
    lines: tuple[str, ...]
    toml: str
    scenario: str
    frames: Mapping[str, pd.DataFrame]
    of: str
    runs: int
    answered: bool = True


@dataclass
class Tables:
    """The rows of the tables of a search, collected as it goes on."""

    trials: list[dict[str, Any]] = field(default_factory=list)
    fresh: list[tuple[Any, ...]] = field(default_factory=list)
    history: list[tuple[Any, ...]] = field(default_factory=list)

    def attack(self, search: str, tried: Sequence[Tried], found: Attack | None) -> None:
        """Add the trials of the search of an attack, and what was found."""
        for one in tried:
            row = {"search": search, "trial": one.number, "score": one.score, "why": one.why}
            self.trials.append(row | _flat(one.group))
        self._history(search, [one.score for one in tried], best=max)
        if found is not None:
            bound, seeds = found.bound, len(found.fresh)
            scores = (found.in_search, bound.mean, bound.low, bound.high)
            self.fresh.append((search, *scores, seeds))

    def rule(self, search: str, tried: Sequence[Point], epsilon: float) -> None:
        """Add the trials of the search of parameters."""
        for one in tried:
            gains = {f"gain:{name}": bound.mean for name, bound in one.gains.items()}
            played = one.cost is not None
            row = {
                "search": search,
                "trial": one.number,
                "score": one.cost,
                "why": one.why,
                "gain_high": one.gain if played and one.gains else None,
                "holds": played and one.gain <= epsilon,
            }
            self.trials.append(row | one.values | gains)
        held = [one.cost if one.gain <= epsilon else None for one in tried]
        self._history(search, held, best=min)

    def confirmed(self, search: str, pairs: Sequence[Confirmed]) -> None:
        """Add the gains of deviations under the parameters that were scored on fresh seeds."""
        for pair in pairs:
            for name, bound in pair.fresh.gains.items():
                before = pair.point.gains[name].mean
                what = f"{search}, trial {pair.point.number}: {name}"
                self.fresh.append((what, before, bound.mean, bound.low, bound.high, None))

    def _history(self, search: str, scores: Sequence[float | None], best: Any) -> None:
        so_far: float | None = None
        for trial, score in enumerate(scores, start=1):
            if score is not None:
                so_far = score if so_far is None else best(so_far, score)
            self.history.append((search, trial, score, so_far))

    def frames(self, seeds: int) -> dict[str, pd.DataFrame]:
        """Return the tables; `seeds`: fresh seeds of parameters."""
        fresh = pd.DataFrame(self.fresh, columns=list(COMPARED))
        fresh["seeds"] = fresh["seeds"].fillna(seeds).astype(int)
        history = pd.DataFrame(self.history, columns=list(HISTORY))
        for column in ("score", "best"):
            history[column] = history[column].astype(float)
        return {"trials": pd.DataFrame(self.trials), "fresh": fresh, "history": history}


def _flat(group: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the keys of a group as columns, parameters with a dot."""
    row: dict[str, Any] = {}
    for key, value in group.items():
        if isinstance(value, Mapping):
            row |= _flat(value, f"{prefix}{key}.")
        elif key != "name":
            row[f"{prefix}{key}"] = value
    return row


# --- in words -----------------------------------------------------------------------------------


def amount(value: float) -> str:
    """Return a number with four digits that count; infinite ends in words."""
    if math.isinf(value):
        return "minus infinity" if value < 0 else "infinity"
    return compact(value)


def between(bound: Bound) -> str:
    """Return a mean with its interval."""
    return f"{amount(bound.mean)} ({amount(bound.low)} to {amount(bound.high)})"


def what_group(group: Mapping[str, Any]) -> str:
    """Return a group in a few words: its size and what it does."""
    roles = [str(v) for k, v in group.items() if isinstance(v, str) and k != "name"]
    return f"{how_many(int(group.get('count', 1)), 'device')} with {' and '.join(roles)}"


def attack_lines(found: Attack, of: str) -> list[str]:
    """Return the sentences about an attack: what it gains, and what the search said."""
    verdict = "pays" if found.bound.low > 0 else "is not shown to pay"
    if found.bound.high <= 0:
        verdict = "does not pay"
    lost = found.in_search - found.bound.mean
    compared = f"{amount(abs(lost))} {'more' if lost >= 0 else 'less'} than on fresh seeds"
    return [
        f"The worst attack {verdict}: {what_group(found.group)}, {of} {between(found.bound)} "
        f"on {how_many(len(found.fresh), 'fresh seed')}.",
        f"In the search it scored {amount(found.in_search)}, {compared}: the best of "
        f"{how_many(found.trials, 'attack')}, chosen because its score was high "
        "(winner's curse). Believe the fresh seeds.",
    ]


def sure(sequence: Intervals, runs: int, level: float) -> str:
    """Return the sentence about intervals."""
    return (
        f"Intervals: {100 * level:.4g} %, valid whenever one stops ({sequence.method} confidence "
        f"sequence; assumed: {ASSUMED[sequence.method]}). {how_many(runs, 'run')}."
    )


def group_toml(group: Mapping[str, Any]) -> str:
    """Return a group as it is pasted into a scenario."""
    return tomli_w.dumps({"adversaries": [dict(group)]})


def keys_toml(values: Mapping[str, Any]) -> str:
    """Return dotted keys as they are pasted into a scenario."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *path, last = key.split(".")
        at = nested
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return tomli_w.dumps(nested)
