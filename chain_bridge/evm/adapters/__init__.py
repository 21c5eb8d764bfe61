"""How recorded runs are played on contracts: one file for each contract, found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from chain_bridge.errors import PlanError
from chain_bridge.evm.adapters.base import Adapter
from chain_bridge.recording import Recording


@cache
def adapters() -> tuple[type[Adapter], ...]:
    """Return the adapters of this folder, in the order of their files."""
    found: list[type[Adapter]] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        content = vars(importlib.import_module(f"{__name__}.{module.name}"))
        kinds = [v for v in content.values() if isinstance(v, type) and issubclass(v, Adapter)]
        found += [kind for kind in kinds if kind.contract]
    return tuple(dict.fromkeys(found))


def tables() -> set[str]:
    """Return the tables that any adapter reads."""
    return {name for adapter in adapters() for name in adapter.tables}


def contract_of(settings: Mapping[str, Any]) -> str:
    """Return the name of the contract that plays a scenario's rule; "" where none does."""
    return next((kind.contract for kind in adapters() if kind.plays(settings)), "")


def adapter_of(run: Recording) -> Adapter:
    """Return the adapter of a run; `PlanError` when no contract plays its rule, or not so."""
    file = run.path / "scenario.toml"
    for kind in adapters():
        if kind.plays(run.settings):
            return kind(run)
    known = "; ".join(kind.title for kind in adapters())
    protocol = run.settings.get("protocol")
    raise PlanError(
        f"{file}: no contract plays {run.mechanism!r} under protocol {protocol!r}; "
        f"there are contracts for {known}"
    )


__all__ = ["Adapter", "adapter_of", "adapters", "contract_of", "tables"]
