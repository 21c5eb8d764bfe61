"""The cheapest parameters of a rule under which no listed deviation pays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.confidence import Bound
from experiments.confidence import Sequence as Intervals
from experiments.loader import ScenarioError
from experiments.search.arena import Arena, Duel
from experiments.search.attack import check_seeds
from experiments.search.space import draw
from experiments.search.study import AT_ONCE, MOST_ASKED, Study
from experiments.sweeps.design import Range
from experiments.sweeps.plan import outcomes_of
from sim.scenario import Scenario

CONFIRMED = 3
"""Parameters that are scored on fresh seeds, at most, until one holds."""


@dataclass(frozen=True)
class Point:
    """Parameters of a rule, and what they gave.

    Args:
        number: in the order of the search, from 1.
        values: by dotted key.
        cost: mean over the seeds; None where they were refused or failed.
        gains: by deviation, its mean gain with the interval.
        why: what was wrong with them.
    """

    number: int
    values: dict[str, Any]
    cost: float | None = None
    gains: Mapping[str, Bound] = field(default_factory=dict)
    why: str = ""

    @property
    def gain(self) -> float:
        """The largest upper end of a gain, over all deviations."""
        return max((bound.high for bound in self.gains.values()), default=-math.inf)

    @property
    def worst(self) -> str:
        """The deviation with it."""
        return max(self.gains, key=lambda name: self.gains[name].high, default="")

    @property
    def mean(self) -> float:
        """The largest mean gain."""
        return max((bound.mean for bound in self.gains.values()), default=-math.inf)


@dataclass(frozen=True)
class Confirmed:
    """Parameters of the search, and the same on fresh seeds."""

    point: Point
    fresh: Point
    holds: bool


@dataclass
class RuleHunt:
    """The search of the cheapest parameters.

    Args:
        arena: plays.
        ranges: of each dotted key.
        cost: weights of outcomes and scenario keys.
        deviations: groups, by name.
        base_groups: groups of adversaries that stay.
        seeds: of the search.
        fresh: for the parameters that are found.
        epsilon: largest gain under which honesty holds.
        sequence: how intervals are made; its error is shared by all deviations.
        rng_seed: decides what is asked.
    """

    arena: Arena
    ranges: Mapping[str, Range]
    cost: Mapping[str, float]
    deviations: Mapping[str, Mapping[str, Any]]
    base_groups: Sequence[Mapping[str, Any]]
    seeds: Sequence[int]
    fresh: Sequence[int]
    epsilon: float
    sequence: Intervals
    rng_seed: int = 0
    tried: list[Point] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_seeds(self.seeds, self.fresh)

    # --- variants -------------------------------------------------------------------------------

    def honest(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variant with these parameters in which nobody deviates."""
        return {**values, "adversaries": [dict(group) for group in self.base_groups]}

    def duels(self, values: Mapping[str, Any]) -> dict[str, Duel]:
        """Return by deviation its duel under these parameters."""
        honest = self.honest(values)
        found = {}
        for name, keys in self.deviations.items():
            group = {"count": 1, **keys, "name": name}
            if "devices" in keys:
                group.pop("count")
            groups = [*honest["adversaries"], group]
            found[name] = Duel(honest, {**values, "adversaries": groups}, name)
        return found

    def each(self, seeds: Sequence[int]) -> int:
        """Return the runs of one point."""
        return (1 + len(self.deviations)) * len(seeds)

    # --- searching ------------------------------------------------------------------------------

    def search(self, runs: int) -> list[Confirmed]:
        """Try parameters within a number of runs; return those scored on fresh seeds.

        The last of these holds, or none does. Empty where no point held in the search.
        """
        left = max(0, (runs - CONFIRMED * self.each(self.fresh)) // self.each(self.seeds))
        study = Study(self.rng_seed, bounded=True)
        known: dict[str, Point] = {}
        most_asked = MOST_ASKED * left
        while left > 0 and study.asked < most_asked:
            asked = [study.ask(self._draw) for _ in range(AT_ONCE)]
            keys = [self._key(values) for _, values in asked]
            new = {}
            for (_, values), key in zip(asked, keys, strict=True):
                if key and key not in known:
                    new[key] = values
            new = dict(list(new.items())[:left])
            self._play(list(new.values()), self.seeds)
            for key, values in new.items():
                known[key] = self.score(values, self.seeds, 1)
                left -= 1
            for (trial, values), key in zip(asked, keys, strict=True):
                self._tell(study, trial, values, key, known)
        return self._confirm()

    def _draw(self, trial: Any) -> dict[str, Any]:
        return {key: draw(trial, key, given) for key, given in self.ranges.items()}

    def _key(self, values: Mapping[str, Any]) -> str:
        """Return the identity of parameters; "" where the scenario refuses them."""
        try:
            for duel in self.duels(values).values():
                self.arena.key(duel.attack)
            return self.arena.key(self.honest(values))
        except ScenarioError:
            return ""

    def _tell(
        self, study: Study, trial: Any, values: dict[str, Any], key: str, known: dict[str, Point]
    ) -> None:
        point = known.get(key)
        if not key:
            self.tried.append(Point(len(self.tried) + 1, values, why="the scenario refuses them"))
        if point is None or point.cost is None:
            study.tell(trial, None)
        else:
            excess = point.gain - self.epsilon
            # Where intervals are infinite the mean says in which direction to go.
            finite = excess if math.isfinite(excess) else abs(point.mean) + 1e6
            study.tell(trial, -point.cost, finite if self.deviations else 0.0)
        if point is not None and point.number == 0:
            known[key] = replace(point, number=len(self.tried) + 1)
            self.tried.append(known[key])

    def _play(self, points: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> None:
        wanted: list[Mapping[str, Any]] = []
        for values in points:
            wanted += [self.honest(values), *(d.attack for d in self.duels(values).values())]
        self.arena.play(wanted, seeds)

    def score(self, values: Mapping[str, Any], seeds: Sequence[int], parts: int) -> Point:
        """Return what parameters gave that have been played; see `Point`.

        `parts`: among how many points the error of the intervals is shared.
        """
        honest = self.honest(values)
        failed = self.arena.record(honest, seeds).failed
        if failed:
            return Point(0, dict(values), why=failed)
        share = self.sequence.alpha / max(1, len(self.deviations)) / parts
        sequence = replace(self.sequence, alpha=share)
        gains = {}
        for name, duel in self.duels(values).items():
            found = self.arena.gains(duel, seeds)
            if found is None or found.empty:
                why = self.arena.record(duel.attack, seeds).failed or "nobody of it took part"
                return Point(0, dict(values), why=f"{name}: {why}")
            gains[name] = sequence.bound(found.to_numpy())
        return Point(0, dict(values), self._cost(values, seeds), gains)

    def _cost(self, values: Mapping[str, Any], seeds: Sequence[int]) -> float:
        """Return the mean cost of parameters over seeds when nobody deviates."""
        honest = self.honest(values)
        scenario = self.arena.trials.scenario_of(honest)
        outcomes = outcomes_of(scenario)
        total = 0.0
        for name, weight in self.cost.items():
            if name in outcomes:
                part = float(self.arena.outcomes(honest, seeds, name).mean())
            else:
                part = float(value_of(scenario, name))
            total += weight * part
        return total

    # --- fresh seeds ----------------------------------------------------------------------------

    @property
    def holding(self) -> list[Point]:
        """The points under which honesty holds in the search, the cheapest first."""
        played = [point for point in self.tried if point.cost is not None]
        held = [point for point in played if point.gain <= self.epsilon]
        return sorted(held, key=lambda point: (point.cost, point.number))

    @property
    def nearest(self) -> Point | None:
        """The point under which the largest gain is smallest."""
        played = [point for point in self.tried if point.cost is not None]
        return min(played, key=lambda point: (point.gain, point.mean), default=None)

    def _confirm(self) -> list[Confirmed]:
        """Score points on fresh seeds, from the cheapest on, until one holds.

        After one that does not, the next is the cheapest whose gain in the search was lower by at
        least what the last one was too high.
        """
        found: list[Confirmed] = []
        left = self.holding
        while left and len(found) < CONFIRMED:
            point = left[0]
            self._play([point.values], self.fresh)
            fresh = self.score(point.values, self.fresh, CONFIRMED)
            holds = fresh.cost is not None and fresh.gain <= self.epsilon
            found.append(Confirmed(point, fresh, holds))
            if holds:
                break
            limit = point.gain - (fresh.gain - self.epsilon)
            safer = [other for other in left[1:] if other.gain <= limit]
            # Where no point is safe enough, the safest one is the best chance.
            left = safer or sorted(left[1:], key=lambda other: other.gain)
        return found


def value_of(scenario: Scenario, key: str) -> Any:
    """Return the value of a dotted key of a scenario; KeyError where there is no such number."""
    at: Any = scenario.to_dict()
    for part in key.split("."):
        at = at[int(part)] if isinstance(at, list) else at[part]
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise KeyError(key)
    return at
