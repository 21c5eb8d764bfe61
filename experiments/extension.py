"""Go on with a finished run: more rounds of the same scenario, as if played at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments import checkpoint
from experiments.rundir import STATE, RunError
from experiments.runresult import RunResult, open_run
from fedstake.errors import FedstakeWarning
from sim.protocol import protocols
from sim.scenario import Scenario
from sim.world import World


def continued(scenario: Scenario, run: Path, data: str | Path | None = None) -> World | None:
    """Return a world that goes on from a finished run of the same scenario with fewer rounds.

    It goes on from before the last round of that run, in which accounts were closed. None, with a
    warning, where the run keeps no state: then all rounds are to be played.

    Raises `RunError` when more than `rounds` is different.
    """
    begun = open_run(run)
    rounds = begun.manifest.get("rounds")
    if not isinstance(rounds, int) or not 0 < rounds < scenario.rounds:
        raise RunError(f"{run}: has {rounds} rounds; --extend needs more, as --set rounds=N")
    if scenario.replace(rounds=rounds).run_id() != begun.run_id:
        raise RunError(f"{run}: {_difference(scenario, begun)}; --extend changes rounds only")
    game = protocols.get(scenario.protocol)
    if not game.open_ended:  # type: ignore[attr-defined]
        raise RunError(f"{run}: what happens in {game.name} depends on how many rounds are to come")
    path = checkpoint.newest(scenario.replace(rounds=rounds), run / STATE)
    if path is None:
        message = f"{run}: keeps no state (--keep-state): all {scenario.rounds} rounds are played"
        warnings.warn(message, FedstakeWarning, stacklevel=2)
        return None
    return checkpoint.load(scenario, path, data, of=begun.run_id)


def _difference(scenario: Scenario, begun: RunResult) -> str:
    """Return in which key a run was another, first of all beside its rounds."""
    now, then = dict(_flat(scenario.to_dict())), dict(_flat(begun.settings))
    for key in {**then, **now}:
        if key != "rounds" and now.get(key) != then.get(key):
            return f"has {key} = {then.get(key)!r}, not {now.get(key)!r}"
    return "was recorded with other data, plug-in files or another version"


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and their values."""
    inner: Mapping[Any, Any] | None = None
    if isinstance(value, Mapping):
        inner = value
    elif isinstance(value, list):
        inner = dict(enumerate(value))
    if inner is None:
        yield key, value
        return
    for part, entry in inner.items():
        yield from _flat(entry, f"{key}.{part}" if key else str(part))
