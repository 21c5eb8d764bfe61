"""Curves of an audit: what one deviation gains along a parameter, or along a key of the scenario.

A behaviour names parameters and values in `doses`, as how far a report is from the truth (slack); a
protocol names a deviation, a key and values, as a copier with and without commitments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.audits.deviations import Deviation, Library
from experiments.audits.question import Question
from experiments.loader import ScenarioError
from mechanisms.plugin import PluginError
from sim.keys import SettingError, chosen_fields
from sim.protocol import Dose
from sim.registries import protocols


@dataclass(frozen=True)
class Point:
    """One value of a curve.

    Args:
        curve: what it is called.
        value: of the parameter or key.
        keys: what is played.
        honest: what it is compared with.
        inside: whether it is played in the audited scenario itself: a gain is then one of the rule
            that is audited.
    """

    curve: str
    value: Any
    keys: Mapping[str, Any]
    honest: Mapping[str, Any]
    inside: bool

    @property
    def name(self) -> str:
        """What the variant is called."""
        return f"{self.curve} = {self.value}"


def points(question: Question, library: Library) -> Iterator[Point]:
    """Yield the points of all curves that can be played."""
    for deviation in library.playable:
        yield from _along_parameters(question, deviation)
    yield from _along_keys(question)


def _along_parameters(question: Question, deviation: Deviation) -> Iterator[Point]:
    for role, mark in chosen_fields(question.group).items():
        if not mark.role or role not in deviation.keys:
            continue
        behaviour = mark.registry.get(str(deviation.keys[role]))
        for param, values in behaviour.doses.items():
            for value in values:
                given = {**deviation.keys.get(mark.params, {}), param: value}
                keys = _playable(question, {**deviation.keys, mark.params: given}, {})
                if keys is not None:
                    curve = f"{deviation.name}, {param}"
                    yield Point(curve, value, keys, question.honest, inside=True)


def _along_keys(question: Question) -> Iterator[Point]:
    protocol: Any = protocols.get(question.scenario.protocol)
    doses: Mapping[str, Dose] = protocol.curves
    for name, dose in doses.items():
        for value in dose.values:
            changed = {dose.key: value}
            keys = _playable(question, dose.deviation, changed)
            if keys is not None:
                honest = {**question.honest, **changed}
                yield Point(f"{name}, {dose.key}", value, keys, honest, inside=False)


def _playable(
    question: Question, deviation: Mapping[str, Any], changed: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the keys with which one device deviates so; None where they cannot be played."""
    try:
        keys = {**question.variant(count=1, **deviation), **changed}
        question.scenario.replace(**keys)
    except (ScenarioError, SettingError, PluginError):
        return None
    return keys
