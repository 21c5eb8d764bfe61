"""Checkpoints at round boundaries: plain JSON and arrays, no pickle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from experiments.rundir import RunError, whole_folder
from sim.scenario import Scenario
from sim.world import World


def save(world: World, path: Path) -> None:
    """Write the state of a world between two rounds; an older checkpoint of the same name is replaced whole."""
    state, arrays = world.to_state()
    with whole_folder(path) as partial:
        np.savez(partial / "models.npz", **arrays)  # type: ignore[arg-type]
        text = json.dumps({"run_id": world.scenario.run_id(), "state": state})
        (partial / "state.json").write_text(text)


def load(scenario: Scenario, path: Path, data: str | Path | None = None) -> World:
    """A world that continues where the checkpoint was made; the scenario must be the same."""
    try:
        told = json.loads((path / "state.json").read_text())
        with np.load(path / "models.npz", allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: not a readable checkpoint ({error})") from error
    if told["run_id"] != scenario.run_id():
        raise RunError(f"{path}: checkpoint of another scenario or seed ({told['run_id'][:12]}, not {scenario.run_id()[:12]})")
    world = World(scenario, data)
    world.restore(told["state"], arrays)
    return world
