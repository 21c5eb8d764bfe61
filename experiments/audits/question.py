"""What is audited: a rule of any kind, in a scenario of a protocol that it can be played in."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.kinds import all_kinds
from experiments.loader import ScenarioError, dumps, load_scenario, locate, parse_override
from experiments.trials import acting, groups_in_play
from fedstake.errors import InputError
from mechanisms.plugin import Plugin, nearest
from mechanisms.registry import Registry, import_by_path
from sim.keys import SettingError, has_key
from sim.population.population import group_class
from sim.registries import protocols
from sim.scenario import DEFAULT_PROTOCOL, Scenario, scenario_of
from sim.settings import Group

DEVIANT = "deviant"
"""Name of the group that deviates."""
LISTED = ".N."
"""Stands in the key of a kind that a scenario has a list of."""


@dataclass(frozen=True)
class Question:
    """A rule in a scenario in which, but for groups that the scenario itself has, all are honest.

    Args:
        rule: as it was asked for: a name, or `path/to/file.py:Class`.
        registry: of its kind.
        scenario: the scenario with the rule in it.
        provoked: dotted keys that act only where somebody deviates, and their values.
    """

    rule: str
    registry: Registry
    scenario: Scenario
    provoked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plugin(self) -> type[Plugin]:
        """The class of the rule."""
        return self.registry.get(self.rule)

    @property
    def called(self) -> str:
        """The rule's own name."""
        return self.plugin.name or self.plugin.__name__

    @property
    def group(self) -> type[Group]:
        """The class of the scenario's groups."""
        return group_class(self.scenario)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Groups of the scenario itself, as plain values: they stay beside whoever deviates."""
        return groups_in_play(self.scenario)

    def variant(self, **keys: Any) -> dict[str, Any]:
        """Return the dotted keys with which a group of these keys deviates beside the others.

        Raises `ScenarioError` where such a group cannot be played.
        """
        plain = {"adversaries": [*self.groups, {"name": DEVIANT, **keys}]}
        try:
            return acting(plain, self.provoked, self._refusal)
        except SettingError as error:
            raise ScenarioError(self.called, error.key, error.value, error.expected) from error

    def _refusal(self, keys: Mapping[str, Any]) -> SettingError | None:
        """Return why a variant cannot be played; None where it can."""
        try:
            self.scenario.replace(**keys)
        except SettingError as error:
            return error
        return None

    @property
    def honest(self) -> dict[str, Any]:
        """The dotted keys with which nobody deviates."""
        return {"adversaries": self.groups}

    def text(self) -> str:
        """Return the scenario as TOML."""
        return dumps(self.scenario)


def ask(
    rule: str,
    scenario: str | Path | None = None,
    changes: Mapping[str, Any] | None = None,
    kind: str = "",
) -> Question:
    """Return what is audited.

    Args:
        rule: a name of any kind of rule, or `path/to/file.py:Class`.
        scenario: preset or file; by default that of the first protocol in which the rule can be
            played (`Protocol.audited`).
        changes: dotted keys and their values, parameters of the rule among them.
        kind: of the rule, where its name stands for several.

    Raises `InputError` for a rule that there is not, and `ScenarioError` for a scenario in which it
    cannot be played.
    """
    rule = _located(rule)
    # A scenario's protocol may bring the kind of the rule, and has keys for some kinds only.
    base = None if scenario is None else load_scenario(scenario)
    registry = _registry(rule, kind, base)
    changes = {**_naming(registry, rule), **(changes or {})}
    if scenario is not None:
        chosen = load_scenario(scenario, changes)
        return question_of(rule, registry, chosen)
    problems = []
    for name in [DEFAULT_PROTOCOL, *(n for n in protocols.names() if n != DEFAULT_PROTOCOL)]:
        try:
            base = scenario_of(protocols.get(name).audited())  # type: ignore[attr-defined]
            chosen = base.replace(**changes)
        except SettingError as error:
            problems.append(error)
            continue
        return question_of(rule, registry, chosen)
    # What is wrong with the scenario of most protocols is that it has no such key.
    wrong = next((e for e in problems if "no key" not in e.expected), None)
    if wrong is not None:
        raise ScenarioError(rule, wrong.key, wrong.value, wrong.expected)
    first = problems[0]
    raise ScenarioError(rule, first.key, first.value, f"{first.expected}; give --scenario")


def _located(rule: str) -> str:
    """Return a rule by path with its whole path."""
    named = {"rule": os.path.expanduser(rule)}
    locate(named, Path.cwd())
    return named["rule"]


def changes_of(texts: list[str]) -> dict[str, Any]:
    """Return dotted keys and their values from texts as `payout.params.pot=1000`."""
    return dict(parse_override(text) for text in texts)


def question_of(rule: str, registry: Registry, scenario: Scenario) -> Question:
    """Return the question of a scenario that has the rule in it."""
    protocol = protocols.get(scenario.protocol)
    return Question(rule, registry, scenario, protocol.provoked)  # type: ignore[attr-defined]


def _registry(rule: str, kind: str, scenario: Scenario | None) -> Registry:
    """Return the registry of a rule by its name or class; behaviours of agents are no rules.

    With a scenario it is one that the scenario has a key for.
    """
    rules = [r for r in all_kinds() if r.key and not _is_no_rule(r)]
    if scenario is not None:
        keys = {r: r.key.replace(LISTED, ".0.").split(".") for r in rules}
        rules = [r for r in rules if has_key(type(scenario), keys[r])]
    if kind:
        rules = [r for r in rules if kind in (r.kind, r.one)]
        if not rules:
            known = sorted(r.kind for r in all_kinds())
            raise InputError(f"--kind {kind}: no such kind; {nearest(kind, known)}")
    if ":" in rule:
        return _by_class(rule, rules)
    holders = [r for r in rules if rule in r.names()]
    if len(holders) > 1:
        kinds = ", ".join(r.kind for r in holders)
        raise InputError(f"{rule}: is in more than one kind; say which by --kind: {kinds}")
    if not holders:
        known = sorted({name for r in rules for name in r.names()})
        raise InputError(f"{rule}: no such rule; {nearest(rule, known)}")
    return holders[0]


def _is_no_rule(registry: Registry) -> bool:
    """Return whether a kind decides nothing of the rules: behaviours, protocols, data, models."""
    floor = registry.package.partition(".")[0]
    return floor in ("agents", "sim") or registry.key.startswith("adversaries.")


def _by_class(rule: str, rules: list[Registry]) -> Registry:
    """Return the registry whose rules a class is one of; raise `InputError` where there is none."""
    cls = import_by_path(rule)
    for registry in rules:
        if inspect.isclass(cls) and issubclass(cls, registry.base):
            return registry
    raise InputError(f"{rule}: is no rule of a kind that a scenario names")


def _naming(registry: Registry, rule: str) -> dict[str, Any]:
    """Return the dotted key that puts a rule into a scenario."""
    if LISTED not in registry.key:
        return {registry.key: rule}
    table, _, entry = registry.key.partition(LISTED)
    return {table: [{entry: rule}]}


def parameters(question: Question) -> Iterator[tuple[str, Any]]:
    """Yield the parameters of the rule, by name, as the scenario has them."""
    for choice in question.scenario.choices():
        if choice.name == question.rule and choice.registry is question.registry:
            yield from choice.params.items()
            return
