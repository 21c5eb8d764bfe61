"""What plug-ins of a training run must do so that some keys act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agents import registries as behaviours
from agents.validators.base import ValidatorBehaviour
from mechanisms import registries as rules
from mechanisms.plugin import PluginError
from mechanisms.registry import Registry
from sim.conditions import Lookup, When


def _create(registry: Registry, name: Any, params: Any) -> Any:
    """Return a plug-in of plain values that are not checked yet; raise `PluginError` if wrong."""
    if not isinstance(name, str) or not isinstance(params, Mapping):
        raise PluginError("is no plug-in with parameters", "", name)
    return registry.create(name, dict(params))


def _entries(given: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the tables of a list."""
    if isinstance(given, list | tuple):
        yield from (entry for entry in given if isinstance(entry, Mapping))


def _measures_utility(of: Lookup) -> bool:
    """Return whether the payout rule or the tape measures what updates are worth."""
    paying = [_create(rules.payouts, of("payout.mechanism"), of("payout.params"))]
    paying += [
        _create(rules.parts, entry.get("part"), entry.get("params", {}))
        for entry in _entries(of("payout.parts"))
    ]
    return bool(of("record.tape")) or any("utility" in rule.observes for rule in paying)


def _validators(of: Lookup) -> Iterator[ValidatorBehaviour]:
    """Yield how each group behaves as validator."""
    for entry in _entries(of("adversaries")):
        name, params = entry.get("validator"), entry.get("validator_params", {})
        if name is not None:
            yield _create(behaviours.validators, name, params)


UTILITY_IS_MEASURED = When(
    ("payout.mechanism",), _measures_utility, "a rule that measures what updates are worth"
)
VOTES_ARE_SOLD = When(
    ("adversaries",),
    lambda of: any(behaviour.price for behaviour in _validators(of)),
    "a list with validators that ask for a price",
)
VOTERS_THREATEN = When(
    ("adversaries",),
    lambda of: any(behaviour.threatens for behaviour in _validators(of)),
    "a list with validators that threaten",
)
