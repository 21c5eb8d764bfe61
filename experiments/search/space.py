"""What a search may choose: ranges and choices, behaviours of a group, its size, its time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Protocol, get_type_hints

from experiments.sweeps.design import Range
from mechanisms.plugin import Plugin
from sim.keys import Chosen, chosen_fields
from sim.settings import HONEST, Group

WIDE = 1_000
"""Parameters whose bounds are further apart are searched around their default."""
AROUND = 100.0
"""Factor around the default within which such a parameter is searched."""
INSIDE = 1e-3
"""Share of the range that is kept from a bound which is itself refused."""


class Draws(Protocol):
    """The part of Optuna's trial that is used."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...
    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...


def draw(trial: Draws, name: str, given: Range) -> Any:
    """Return a value of a range that a trial suggests."""
    if given.choices:
        # By number: choices may be lists and tables, of which the sampler knows nothing.
        return given.choices[trial.suggest_categorical(name, range(len(given.choices)))]
    assert given.low is not None
    assert given.high is not None
    if given.integer:
        return trial.suggest_int(name, int(given.low), int(given.high), log=given.log)
    return trial.suggest_float(name, given.low, given.high, log=given.log)


def drawn(given: Range, value: Any) -> Any:
    """Return what a trial suggests where `draw` gives a value; None for one out of the range."""
    if given.choices:
        return given.choices.index(value) if value in given.choices else None
    assert given.low is not None
    assert given.high is not None
    return value if given.low <= value <= given.high else None


# --- parameters of behaviours -------------------------------------------------------------------


def range_of(parameter: dataclasses.Field[Any], hint: Any) -> Range | None:
    """Return the range in which a parameter is searched; None: it keeps its default.

    The range is that of the declared bounds. Where these are far apart it reaches from a hundredth
    of the default to its hundredfold; a default of 0 or less says nothing of the size, so that such
    a parameter is only searched within a range that the user gives.
    """
    choices = parameter.metadata.get("choices")
    if choices:
        return Range(choices=tuple(choices))
    if hint is bool:
        return Range(choices=(False, True))
    if hint not in (int, float):
        return None
    whole = hint is int
    bounds = parameter.metadata.get("bounds", {})
    low = _end(bounds, "ge", "gt", -math.inf)
    high = _end(bounds, "le", "lt", math.inf)
    if high - low <= WIDE:
        step = 1.0 if whole else INSIDE * (high - low)
        low += step if "gt" in bounds else 0.0
        high -= step if "lt" in bounds else 0.0
        return Range(low=low, high=high, integer=whole) if low < high else None
    return _around(parameter.default, low, high, whole)


def _end(bounds: Mapping[str, float], closed: str, opened: str, without: float) -> float:
    return float(bounds.get(closed, bounds.get(opened, without)))


def _around(default: Any, low: float, high: float, whole: bool) -> Range | None:
    """Return a logarithmic range around a default above 0; None for any other."""
    known = isinstance(default, int | float) and default > 0
    if not known:
        return None
    least = max(low, default / AROUND, 1.0 if whole else 0.0)
    most = min(high, default * AROUND)
    if whole:
        least, most = math.ceil(least), math.floor(most)
    return Range(low=float(least), high=float(most), log=True, integer=whole)


@dataclass(frozen=True)
class Option:
    """A behaviour that a search may choose: its name and the ranges of its parameters."""

    name: str
    ranges: Mapping[str, Range] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Default of each parameter that is searched, where it has one."""

    @staticmethod
    def of(name: str, plugin: type[Plugin], given: Mapping[str, Range]) -> Option | None:
        """Return the option of a plug-in.

        `given` are ranges of single parameters that the user narrowed. None for a plug-in with a
        parameter that must be given and has no range.
        """
        hints = get_type_hints(plugin.Params)
        ranges, defaults = {}, {}
        for parameter in dataclasses.fields(plugin.Params):
            chosen = given.get(parameter.name) or range_of(parameter, hints[parameter.name])
            required = parameter.default is dataclasses.MISSING
            if chosen is None and required and parameter.default_factory is dataclasses.MISSING:
                return None
            if chosen is not None:
                ranges[parameter.name] = chosen
                if not required:
                    defaults[parameter.name] = parameter.default
        return Option(name, ranges, defaults)


# --- groups -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GroupSpace:
    """The groups among which the worst attack is searched.

    Args:
        name: of the group.
        roles: by role key, what the group may do in it.
        marks: by role key, where its parameters stand.
        least: smallest group.
        most: largest group.
        rounds: of the scenario; 1: the group deviates in all rounds.
        keys: keys of the group that stay.
        ranges: of other keys of the group.
    """

    name: str
    roles: Mapping[str, tuple[Option, ...]]
    marks: Mapping[str, Chosen]
    least: int
    most: int
    rounds: int
    keys: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def draw(self, trial: Draws) -> dict[str, Any] | None:
        """Return a group that a trial suggests, as a table; None where it deviates in nothing."""
        group: dict[str, Any] = {"name": self.name, "count": self._size(trial)}
        chosen = [self._role(trial, role) for role in self.roles]
        for keys in chosen:
            group |= keys
        group |= self._time(trial)
        group |= self.keys
        for key, given in self.ranges.items():
            group[key] = draw(trial, key, given)
        deviates = any(chosen) or bool(self.keys) or bool(self.ranges)
        return group if deviates else None

    def _size(self, trial: Draws) -> int:
        if self.least == self.most:
            return self.most
        return trial.suggest_int("count", self.least, self.most)

    def _role(self, trial: Draws, role: str) -> dict[str, Any]:
        """Return the keys of one role; none where the group is honest in it."""
        options = {option.name: option for option in self.roles[role]}
        name = next(iter(options))
        if len(options) > 1:
            name = trial.suggest_categorical(role, list(options))
        if name == HONEST:
            return {}
        params = {
            parameter: draw(trial, f"{role}.{name}.{parameter}", given)
            for parameter, given in options[name].ranges.items()
        }
        keys: dict[str, Any] = {role: name}
        if params:
            keys[self.marks[role].params] = params
        return keys

    def _time(self, trial: Draws) -> dict[str, int]:
        """Return the first and the last round; nothing where the group deviates from the start."""
        if self.rounds == 1:
            return {}
        first = trial.suggest_int("from_round", 1, self.rounds)
        last = trial.suggest_int("until_round", 1, self.rounds)
        keys = {}
        if first > 1:
            keys["from_round"] = first
        if last < self.rounds:
            keys["until_round"] = max(first, last)
        return keys

    def starts(self) -> Iterator[dict[str, Any]]:
        """Yield suggestions to begin with: each behaviour alone, at its defaults, all the time."""
        common: dict[str, Any] = {}
        if self.least < self.most:
            common["count"] = self.most
        if self.rounds > 1:
            common |= {"from_round": 1, "until_round": self.rounds}
        several = {role: options for role, options in self.roles.items() if len(options) > 1}
        honest = dict.fromkeys(several, HONEST)
        each = [
            [{role: option.name} | _defaults(role, option) for option in _deviating(options)]
            for role, options in several.items()
        ]
        # Roles in turn, so that a small budget does not know one role only.
        for together in zip_longest(*each):
            for keys in filter(None, together):
                yield common | honest | keys


def _deviating(options: Iterable[Option]) -> list[Option]:
    return [option for option in options if option.name != HONEST]


def _defaults(role: str, option: Option) -> dict[str, Any]:
    """Return the suggestions that give the defaults of a behaviour's parameters."""
    found = {}
    for parameter, default in option.defaults.items():
        value = drawn(option.ranges[parameter], default)
        if value is not None:
            found[f"{role}.{option.name}.{parameter}"] = value
    return found


def options_of(
    role: str,
    mark: Chosen,
    names: Iterable[str] | None,
    given: Mapping[str, Range],
    alone: bool,
) -> tuple[Option, ...]:
    """Return what a group may do in a role.

    Args:
        role: key of the group.
        mark: of that key.
        names: of behaviours; None: all that are found by name.
        given: ranges by "behaviour.parameter".
        alone: whether the group has no other role, so that being honest in it is no attack.

    Raises `PluginError` for a behaviour that is not there.
    """
    options = [] if alone else [Option(HONEST)]
    for name in mark.registry.names() if names is None else names:
        if name == HONEST:
            continue
        own = {
            key.removeprefix(f"{name}."): chosen
            for key, chosen in given.items()
            if key.rpartition(".")[0] == name
        }
        option = Option.of(name, mark.registry.get(name), own)
        if option is not None:
            options.append(option)
    return tuple(options)


def group_space(
    group_class: type[Group],
    *,
    most: int,
    rounds: int,
    taken: Iterable[str] = (),
    least: int = 1,
    behaviours: Mapping[str, Iterable[str]] | None = None,
    given: Mapping[str, Range] | None = None,
    keys: Mapping[str, Any] | None = None,
) -> GroupSpace:
    """Return the groups of a class among which the worst is searched.

    Args:
        group_class: of the scenario's groups.
        most: largest group.
        rounds: of the scenario; 1 to leave the timing alone.
        taken: names of other groups.
        least: smallest group.
        behaviours: by role key the behaviours to try; None: all of all roles.
        given: ranges of "behaviour.parameter" or of a key of the group.
        keys: keys of the group that stay.
    """
    given = dict(given or {})
    marks = {name: mark for name, mark in chosen_fields(group_class).items() if mark.role}
    wanted = dict.fromkeys(marks) if behaviours is None else dict(behaviours)
    roles = {
        role: options_of(role, marks[role], names, given, alone=len(wanted) == 1)
        for role, names in wanted.items()
    }
    own = {key: chosen for key, chosen in given.items() if key in group_class.model_fields}
    roles = {role: options for role, options in roles.items() if options}
    return GroupSpace(
        _free("attackers", set(taken)), roles, marks, least, most, rounds, dict(keys or {}), own
    )


def _free(name: str, taken: set[str]) -> str:
    """Return a name that no other group has."""
    number = 2
    free = name
    while free in taken:
        free = f"{name}-{number}"
        number += 1
    return free
