"""Checkpoints at round boundaries: plain JSON and arrays, no pickle.

A folder beside the run directory holds them; their names begin with the run's id, so that runs
never touch each other's.
"""

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
    """Write the state of a world between two rounds.

    Older checkpoints of the run are deleted only when the new one is there.
    """
    state, arrays = world.to_state()
    path = folder / f"{_prefix(world.kernel.scenario)}{world.round_index:07d}"
    with whole_folder(path) as partial:
        np.savez(partial / "models.npz", **arrays)  # type: ignore[arg-type]
        text = json.dumps({"run_id": world.kernel.scenario.run_id(), "state": state})
        (partial / "state.json").write_text(text)
    for older in _all(world.kernel.scenario, folder):
        if older != path:
            shutil.rmtree(older, ignore_errors=True)


def newest(scenario: Scenario, folder: Path) -> Path | None:
    """Return the last checkpoint of a run in a folder of `save`."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; checkpoints go into a folder of that name")
    return max(_all(scenario, folder), default=None)


def remove(scenario: Scenario, folder: Path) -> None:
    """Delete the checkpoints of a run, and the folder when nothing else is in it."""
    if not folder.is_dir():
        return
    for path in [*_all(scenario, folder), *folder.glob(f".{_prefix(scenario)}*.partial-*")]:
        shutil.rmtree(path, ignore_errors=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def load(scenario: Scenario, path: Path, data: str | Path | None = None) -> World:
    """Return a world that continues from a checkpoint; the scenario must be the same."""
    try:
        saved = json.loads((path / "state.json").read_text())
        with np.load(path / "models.npz", allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        run_id, state = saved["run_id"], saved["state"]
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise RunError(f"{path}: not a readable checkpoint ({error})") from error
    if run_id != scenario.run_id():
        raise RunError(
            f"{path}: checkpoint of another scenario or seed "
            f"({run_id[:12]}, not {scenario.run_id()[:12]})"
        )
    world = World(scenario, data)
    try:
        world.restore(state, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        world.close()
        raise RunError(
            f"{path}: not a complete checkpoint ({type(error).__name__}: {error})"
        ) from error
    return world


def _prefix(scenario: Scenario) -> str:
    return f"{scenario.run_id()[:12]}-round-"


def _all(scenario: Scenario, folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_prefix(scenario)}*[0-9]")) if folder.is_dir() else []
