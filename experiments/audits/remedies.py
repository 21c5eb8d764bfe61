"""What stops a deviation: the least value of a lever of the rule, or of a part around it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.audits.question import Question
from experiments.audits.race import Finding, Sample, gains_of
from experiments.confidence import Bound, student
from mechanisms import registries as rules
from mechanisms.payouts.base import PayoutRule
from sim.keys import SettingError

SEEDS = 6
"""Seeds of every value that is tried, the same for all."""
DOUBLINGS, HALVINGS = 7, 3
"""Steps up from `epsilon`, then steps between the last two values."""


@dataclass(frozen=True)
class Lever:
    """A number of the scenario of which more makes deviating dearer: how it is called and set."""

    name: str
    keys: Mapping[str, Any]
    """Dotted keys, with `None` in the place of the number: in a value or in a list of tables."""
    now: float = 0
    """The number in the scenario, which is too little."""


@dataclass(frozen=True)
class Remedy:
    """The least value of a lever that was found to stop a deviation.

    Args:
        lever: what is raised.
        deviation: what it is to stop.
        enough: the least value with a mean gain of at most `epsilon`; NaN where none was.
        little: the largest value that was found not to be enough; NaN where all were.
        gain: at `enough`, or at the largest value tried; 95 % interval over the same seeds
            (Student), base units per run.
        tried: each value with its mean gain.
    """

    lever: str
    deviation: str
    enough: float
    little: float
    gain: Bound
    tried: tuple[tuple[float, float], ...]


def levers(question: Question) -> Iterator[Lever]:
    """Yield the levers of the rule itself, then of parts that can stand around a payout rule."""
    for choice in question.scenario.choices():
        if choice.name == question.rule and choice.registry is question.registry:
            for name in question.plugin.levers:
                keys = {f"{choice.params_key}.{name}": None}
                yield Lever(name, keys, choice.params[name])
            break
    if not issubclass(question.plugin, PayoutRule):
        return
    parts = question.scenario.to_dict()["payout"].get("parts", [])
    for part in rules.parts.names():
        params: dict[str, Any] = {}
        for given in parts:
            if given["part"] == part:
                params = given["params"]
        others = [p for p in parts if p["part"] != part]
        for name in rules.parts.get(part).levers:
            table = {"part": part, "params": {**params, name: None}}
            yield Lever(
                f"{part}.{name}",
                {"payout.parts": [*others, table]},
                params.get(name, 0),
            )


def remedies_of(
    question: Question, finding: Finding, sample: Sample, epsilon: float, runs: int, first: int
) -> tuple[list[Remedy], int]:
    """Return for each lever the least value that stops a finding, and the runs that it took.

    The gain is taken to fall with the lever. Values that the scenario refuses end the search there.
    """
    found, played = [], 0
    known = list(levers(question))
    for at, lever in enumerate(known):
        share = (runs - played) // (len(known) - at)
        search = _Search(question, finding, lever, sample, range(first, first + SEEDS))
        remedy = search.run(epsilon, share)
        played += search.runs
        if remedy is not None:
            found.append(remedy)
    return found, played


class _Search:
    """Doubles the value of a lever until a deviation no longer pays, then narrows it down."""

    cost = 2 * SEEDS
    """Runs of a value."""

    def __init__(
        self, question: Question, finding: Finding, lever: Lever, sample: Sample, seeds: range
    ) -> None:
        self._question, self._finding, self._lever = question, finding, lever
        self._sample, self._seeds = sample, list(seeds)
        self.runs = 0
        self._tried: dict[float, np.ndarray] = {}

    def run(self, epsilon: float, runs: int) -> Remedy | None:
        """Return the remedy; None where not a single value can be played."""
        low, high = (self._lever.now or math.nan), math.nan
        value = max(1, round(epsilon), 2 * round(self._lever.now))
        for _ in range(DOUBLINGS):
            gain = self._gain(value, runs)
            if gain is None:
                break
            if gain <= epsilon:
                high = value
                break
            low, value = value, 2 * value
        for _ in range(HALVINGS):
            if not high - low > 1:
                break
            middle = round((low + high) / 2)
            gain = self._gain(middle, runs)
            if gain is None:
                break
            low, high = (low, middle) if gain <= epsilon else (middle, high)
        if not self._tried:
            return None
        at = max(self._tried) if math.isnan(high) else high
        gains = self._tried[at]
        bound = student(gains)
        tried = tuple((v, float(g.mean())) for v, g in sorted(self._tried.items()))
        return Remedy(self._lever.name, self._finding.name, high, low, bound, tried)

    def _gain(self, value: int, runs: int) -> float | None:
        """Return the mean gain at a value.

        None where it cannot be played, where a run of it fails, or where runs are spent.
        """
        if self.runs + self.cost > runs:
            return None
        raised = _filled(dict(self._lever.keys), value)
        variants = {
            "honest": {**self._question.honest, **raised},
            "deviating": {**self._finding.entry.keys, **raised},
        }
        try:
            for keys in variants.values():
                self._question.scenario.replace(**keys)
        except SettingError:
            return None
        rows = self._sample(variants, self._seeds)
        self.runs += self.cost
        gains = gains_of(rows, self._finding.entry, "deviating", "honest").to_numpy(float)
        if len(gains) < len(self._seeds):
            return None  # a run failed: what is gained at this value is not known
        self._tried[value] = gains
        return float(gains.mean())


def _filled(keys: Any, value: int) -> Any:
    """Return keys with the number in its place."""
    if isinstance(keys, dict):
        return {key: _filled(inner, value) for key, inner in keys.items()}
    if isinstance(keys, list):
        return [_filled(inner, value) for inner in keys]
    return value if keys is None else keys
