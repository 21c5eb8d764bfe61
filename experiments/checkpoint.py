"""Checkpoints at round boundaries: plain JSON and arrays, no pickle. A folder per run, a folder in it per checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from experiments.rundir import RunError, whole_folder
from sim.scenario import Scenario
from sim.world import World


def save(world: World, folder: Path) -> None:
    """Write the state of a world between two rounds; older checkpoints go only when the new one is there."""
    state, arrays = world.to_state()
    path = folder / f"round-{world.round_index:07d}"
    with whole_folder(path) as partial:
        np.savez(partial / "models.npz", **arrays)  # type: ignore[arg-type]
        text = json.dumps({"run_id": world.scenario.run_id(), "state": state})
        (partial / "state.json").write_text(text)
    for older in _all(folder):
        if older != path:
            shutil.rmtree(older, ignore_errors=True)


def newest(folder: Path) -> Path | None:
    """The last checkpoint in a folder of `save`."""
    return max(_all(folder), default=None)


def remove(folder: Path) -> None:
    """Delete the checkpoints of a run, and nothing else that may lie in their folder."""
    for path in [*_all(folder), *folder.glob(".round-*.partial-*")]:
        shutil.rmtree(path, ignore_errors=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def load(scenario: Scenario, path: Path, data: str | Path | None = None) -> World:
    """A world that continues where the checkpoint was made; the scenario must be the same."""
    try:
        told = json.loads((path / "state.json").read_text())
        with np.load(path / "models.npz", allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        run_id, state = told["run_id"], told["state"]
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise RunError(f"{path}: not a readable checkpoint ({error})") from error
    if run_id != scenario.run_id():
        raise RunError(f"{path}: checkpoint of another scenario or seed ({run_id[:12]}, not {scenario.run_id()[:12]})")
    world = World(scenario, data)
    world.restore(state, arrays)
    return world


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("round-*[0-9]")) if folder.is_dir() else []
