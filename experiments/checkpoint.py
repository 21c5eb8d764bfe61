"""Checkpoints at round boundaries: plain JSON and arrays, no pickle.

A folder beside the run directory holds them; their names begin with the run's id, so that runs
never touch each other's. Each lists the hashes of its files, which are verified before it is used.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from experiments.rundir import RunError, whole_folder
from fedstake.errors import FedstakeWarning
from fedstake.outside import RECORD_BYTES, UnreadableError, read_bytes, read_json, seal, unseal
from sim.scenario import Scenario
from sim.world import World

HASHES = "hashes.json"
KEPT = 2
"""Checkpoints of a run: where the last one is damaged, the one before is used."""


class DamagedCheckpointWarning(FedstakeWarning):
    """A checkpoint that is damaged and was left out; an earlier one is used."""


def save(world: World, folder: Path) -> None:
    """Write the state of a world between two rounds.

    Older checkpoints of the run but the one before are deleted, only when the new one is there.
    """
    state, arrays = world.to_state()
    path = folder / f"{_prefix(world.kernel.scenario)}{world.round_index:07d}"
    with whole_folder(path) as partial:
        np.savez(partial / "models.npz", **arrays)  # type: ignore[arg-type]
        text = json.dumps({"run_id": world.kernel.scenario.run_id(), "state": state})
        (partial / "state.json").write_text(text)
        hashes = {file.name: _sha256(file) for file in sorted(partial.iterdir())}
        (partial / HASHES).write_text(seal({"files": hashes}))
    others = [older for older in _all(world.kernel.scenario, folder) if older != path]
    for older in others[: len(others) + 1 - KEPT]:
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


def resume(scenario: Scenario, folder: Path, data: str | Path | None = None) -> World | None:
    """Return a world that continues from the last whole checkpoint of a run, None without any.

    Warns of damaged ones (`DamagedCheckpointWarning`); raises `RunError` when no other is there.
    """
    newest(scenario, folder)
    damaged = None
    for path in reversed(_all(scenario, folder)):
        try:
            world = load(scenario, path, data)
        except RunError as error:
            damaged = damaged or error
            continue
        if damaged:
            warnings.warn(
                f"{damaged}; going on from round {world.round_index}, the checkpoint before",
                DamagedCheckpointWarning,
                stacklevel=2,
            )
        return world
    if damaged:
        raise RunError(f"{damaged}; --force begins again")
    return None


def load(scenario: Scenario, path: Path, data: str | Path | None = None) -> World:
    """Return a world that continues from a checkpoint; the scenario must be the same.

    Raises `RunError` for a checkpoint that is damaged or of another run.
    """
    try:
        _verify(path)
        saved = read_json(path / "state.json")
        with np.load(path / "models.npz", allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        run_id, state = str(saved["run_id"]), saved["state"]
    except UnreadableError as error:
        raise RunError(f"{path}: not a readable checkpoint ({_short(error)})") from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise RunError(f"{path}: not a readable checkpoint ({error})") from error
    if run_id != scenario.run_id():
        raise RunError(
            f"{path}: checkpoint of another scenario or seed "
            f"({run_id[:12]}, not {scenario.run_id()[:12]})"
        )
    world = World(scenario, data)
    try:
        world.restore(state, arrays)
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
        world.close()
        raise RunError(
            f"{path}: not a complete checkpoint ({type(error).__name__}: {error})"
        ) from error
    return world


def _verify(path: Path) -> None:
    """Raise `UnreadableError` unless the files are those that the hashes of a checkpoint list."""
    files = unseal(path / HASHES)["files"]
    for name in ("models.npz", "state.json"):
        if files[name] != _sha256(path / name):
            raise UnreadableError(path / name, "damaged, its SHA-256 is not the recorded one")


def _sha256(file: Path) -> str:
    return hashlib.sha256(read_bytes(file, RECORD_BYTES)).hexdigest()


def _short(error: UnreadableError) -> str:
    return f"{Path(error.path).name}: {error.reason}"


def _prefix(scenario: Scenario) -> str:
    return f"{scenario.run_id()[:12]}-round-"


def _all(scenario: Scenario, folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_prefix(scenario)}*[0-9]")) if folder.is_dir() else []
