"""Checkpoints at round boundaries: plain JSON and arrays, no pickle.

A folder beside the run directory holds them; their names begin with the run's id, so that runs
never touch each other's. A checkpoint is a folder with what changes from round to round, and a part
of a log with what only grows: recorded rows, journal, chains. Each process appends to a log of its
own, so that a checkpoint costs what is new since the one before. A checkpoint lists the hashes of
its files and of its part of the log, which are verified before it is used.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.arrays import read_arrays
from experiments.rundir import (
    RunError,
    alive,
    brief,
    naming,
    whole_folder,
)
from fedstake.errors import FedstakeError, FedstakeWarning
from fedstake.outside import (
    RECORD_BYTES,
    UnreadableError,
    parse_json,
    read_bytes,
    read_json,
    seal,
    shown,
    unseal,
)
from mechanisms.failures import described, failure
from sim.scenario import Scenario

if TYPE_CHECKING:
    from sim.world import World

HASHES = "hashes.json"
KEPT = 2
"""Checkpoints of a run: where the last one is damaged, the one before is used."""


class DamagedCheckpointWarning(FedstakeWarning):
    """A checkpoint that is damaged and was left out; an earlier one is used."""


@dataclass(frozen=True)
class Boundary:
    """What changes from round to round, as it was after a round."""

    round: int
    state: str
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Log:
    """What only grows: `size` bytes of it are on disk, the lines `pending` are not yet."""

    size: int
    hash: Any
    pending: Sequence[bytes]

    def written(self) -> Log:
        """Return the log with all of its lines on disk."""
        body = b"".join(self.pending)
        grown = self.hash.copy()
        grown.update(body)
        return Log(self.size + len(body), grown, ())


@dataclass(frozen=True)
class Keeping:
    """What is kept of a run beside its tables.

    Args:
        every: a checkpoint after so many rounds; 0: only by the clock.
        state: keep in the run directory what it can be extended from.
        force: play from the first round, whatever is there.
    """

    every: int = 0
    state: bool = False
    force: bool = False


EMPTY = Log(0, hashlib.sha256(), ())


class Checkpoints:
    """The checkpoints that one process writes of one run.

    `note` remembers the state between two rounds in memory, which costs little; `write` writes what
    was noted last. So a run that is interrupted within a round keeps the rounds before.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self._run_id, self._folder = scenario.run_id(), folder
        self._file = folder / f"{_logs(self._run_id)}{os.getpid()}-{os.urandom(4).hex()}"
        self._marks: Mapping[str, int] = {}
        self._log = EMPTY
        self._noted: Boundary | None = None

    @property
    def round(self) -> int:
        """Number of the round that was noted last, 0 before any."""
        return self._noted.round if self._noted else 0

    def note(self, world: World) -> None:
        """Remember the state of a world between two rounds."""
        if self._log.size and not self._file.is_file():  # another process has cleaned up
            self._marks, self._log = {}, EMPTY
        state, arrays = world.to_state(self._marks)
        line = gzip.compress(json.dumps(state.pop("history")).encode() + b"\n", 1, mtime=0)
        self._marks = state.pop("marks")
        self._log = Log(self._log.size, self._log.hash, [*self._log.pending, line])
        text = json.dumps({"run_id": self._run_id, "state": state})
        kept = {name: _frozen(array) for name, array in arrays.items()}
        self._noted = Boundary(world.round_index, text, kept)

    def write(self) -> None:
        """Write what was noted last.

        Older checkpoints of the run but the one before are deleted, only when the new one is there.
        """
        assert self._noted is not None
        with naming(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            with open(self._file, "ab") as file:
                file.truncate(self._log.size)  # of what a failed attempt has left
                file.writelines(self._log.pending)
                file.flush()
                os.fsync(file.fileno())
            self._log = self._log.written()
            path = self._write(self._folder, self._file.name, self._log)
        others = [older for older in _all(self._run_id, self._folder) if older != path]
        for older in others[: len(others) + 1 - KEPT]:
            shutil.rmtree(older, ignore_errors=True)
        _remove_logs(self._run_id, self._folder, keep=self._file)

    def export(self, folder: Path) -> None:
        """Write what was noted last into another folder, with a log of its own."""
        assert self._noted is not None
        folder.mkdir()
        log = folder / f"{_logs(self._run_id)}whole"
        if self._log.size:
            shutil.copyfile(self._file, log)
        with open(log, "ab") as file:
            file.truncate(self._log.size)
            file.writelines(self._log.pending)
        self._write(folder, log.name, self._log.written())

    def _write(self, folder: Path, name: str, log: Log) -> Path:
        """Write the folder of a checkpoint whose log is on disk under a name; return it."""
        assert self._noted is not None
        path = folder / f"{_rounds(self._run_id)}{self._noted.round:07d}"
        with whole_folder(path) as partial:
            np.savez(partial / "models.npz", **self._noted.arrays)  # type: ignore[arg-type]
            (partial / "state.json").write_text(self._noted.state)
            files = sorted(partial.iterdir())
            hashes = {file.name: _sha256(read_bytes(file, RECORD_BYTES)) for file in files}
            part = {"name": name, "bytes": log.size, "sha256": log.hash.hexdigest()}
            (partial / HASHES).write_text(seal({"files": hashes, "log": part}))
        return path


def folder_of(run: Path) -> Path:
    """Return the folder of the checkpoints of a run directory, beside it."""
    return run.with_name(f"{brief(run.name)}.checkpoint")


def save(world: World, folder: Path) -> None:
    """Write a checkpoint of a world between two rounds."""
    checkpoints = Checkpoints(world.kernel.scenario, folder)
    checkpoints.note(world)
    checkpoints.write()


def newest(scenario: Scenario, folder: Path) -> Path | None:
    """Return the last checkpoint of a run in a folder of checkpoints."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; checkpoints go into a folder of that name")
    return max(_all(scenario.run_id(), folder), default=None)


def remove(scenario: Scenario, folder: Path) -> None:
    """Delete the checkpoints of a run, and the folder when nothing else is in it."""
    if not folder.is_dir():
        return
    run_id = scenario.run_id()
    for path in [*_all(run_id, folder), *folder.glob(f".{_rounds(run_id)}*.partial-*")]:
        shutil.rmtree(path, ignore_errors=True)
    _remove_logs(run_id, folder)
    if not any(folder.iterdir()):
        folder.rmdir()


def resume(scenario: Scenario, folder: Path, data: str | Path | None = None) -> World | None:
    """Return a world that continues from the last whole checkpoint of a run, None without any.

    Warns of damaged ones (`DamagedCheckpointWarning`); raises `RunError` when no other is there.
    """
    newest(scenario, folder)
    damaged = None
    for path in reversed(_all(scenario.run_id(), folder)):
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


def load(
    scenario: Scenario, path: Path, data: str | Path | None = None, of: str | None = None
) -> World:
    """Return a world that continues from a checkpoint.

    Raises `RunError` for a checkpoint that is damaged or of another run.

    Args:
        scenario: what is played from there on.
        path: the checkpoint.
        data: folder of data files.
        of: id of the run that wrote the checkpoint, by default that of the scenario.
    """
    with _refused(path, "not a readable checkpoint"):
        history = _verified(path)
        saved = read_json(path / "state.json")
        arrays = read_arrays(path / "models.npz")
        run_id, state = str(saved["run_id"]), {**saved["state"], "history": history}
    expected = of or scenario.run_id()
    if run_id != expected:
        raise RunError(
            f"{path}: checkpoint of another scenario or seed ({run_id[:12]}, not {expected[:12]})"
        )
    from sim.world import World

    world = World(scenario, data)
    try:
        with _refused(path, "damaged or forged, no run can go on from it"):
            world.restore(state, arrays)
    except RunError:
        world.close()
        raise
    world.origin = str(path)
    return world


@contextmanager
def blamed(world: World) -> Iterator[None]:
    """Name the checkpoint that a world goes on from in errors that nothing else explains.

    Plug-ins and inputs that are wrong, the disk and the memory, explain theirs.
    """
    try:
        yield
    except (FedstakeError, OSError, MemoryError):
        raise
    except Exception as error:
        if not world.origin or failure(error) is not None:
            raise
        reason = f"round {world.round_index}: {_short(error)}"
        told = "goes on from here and failed; the checkpoint may be damaged or forged"
        raise RunError(f"{world.origin}: the run {told} ({reason})") from error


@contextmanager
def _refused(path: Path, what: str) -> Iterator[None]:
    """Turn whatever somebody else's checkpoint makes its reader raise into a `RunError`."""
    try:
        yield
    except Exception as error:
        raise RunError(f"{path}: {what} ({_short(failure(error) or error)})") from error


# --- files --------------------------------------------------------------------------------------


def _verified(path: Path) -> dict[str, list[Any]]:
    """Return the history of a checkpoint.

    Raises `UnreadableError` unless its files and its part of the log have the hashes that it lists.
    """
    hashes = unseal(path / HASHES)
    for name in ("models.npz", "state.json"):
        _check(path / name, read_bytes(path / name, RECORD_BYTES), hashes["files"][name])
    part = hashes["log"]
    log = path.parent / Path(part["name"]).name
    body = read_bytes(log, RECORD_BYTES)[: part["bytes"]]
    _check(log, body, part["sha256"])
    history: dict[str, list[Any]] = {}
    for line in _unpacked(log, body).splitlines():
        for name, rows in _rows(log, line).items():
            history.setdefault(name, []).extend(rows)
    return history


def _rows(log: Path, line: bytes) -> dict[str, list[Any]]:
    """Return the rows of one line of a log, by record."""
    records = parse_json(line.decode(), log)
    listed = isinstance(records, dict) and all(isinstance(r, list) for r in records.values())
    if not listed:
        raise UnreadableError(log, "damaged or forged, a line of it holds no rows by record")
    return records


def _unpacked(log: Path, body: bytes) -> bytes:
    """Return the lines of a log, each of which was packed by itself."""
    try:
        text = gzip.GzipFile(fileobj=io.BytesIO(body)).read(RECORD_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableError(log, f"damaged, it cannot be unpacked ({error})") from error
    if len(text) > RECORD_BYTES:
        raise UnreadableError(log, f"holds more than {RECORD_BYTES:,} bytes, the most that is read")
    return text


def _check(file: Path, body: bytes, sha256: str) -> None:
    if sha256 != _sha256(body):
        raise UnreadableError(file, "damaged, its SHA-256 is not the recorded one")


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _short(error: BaseException) -> str:
    """Return what an error says, in one line that is not long; of a file its name alone."""
    if isinstance(error, UnreadableError):
        return f"{Path(error.path).name}: {error.reason}"
    return shown(described(error))


def _frozen(array: np.ndarray) -> np.ndarray:
    """Return an array that nobody changes any more: itself, or a copy."""
    return array.copy() if array.flags.writeable else array


def _remove_logs(run_id: str, folder: Path, keep: Path | None = None) -> None:
    """Delete the logs that no checkpoint needs; those of other living processes stay."""
    needed = {_log_of(path) for path in _all(run_id, folder)}
    for log in folder.glob(f"{_logs(run_id)}*"):
        if log != keep and log.name not in needed and not _used(log, run_id):
            log.unlink(missing_ok=True)


def _used(log: Path, run_id: str) -> bool:
    """Return whether another process may yet append to a log."""
    pid = log.name.removeprefix(_logs(run_id)).partition("-")[0]
    return pid.isdecimal() and int(pid) != os.getpid() and alive(int(pid))


def _log_of(path: Path) -> str:
    """Return the name of a checkpoint's log, "" where the checkpoint is damaged."""
    try:
        return str(unseal(path / HASHES)["log"]["name"])
    except (OSError, UnreadableError, LookupError, TypeError):
        return ""


def _rounds(run_id: str) -> str:
    """Return how the names of a run's checkpoints begin."""
    return f"{run_id[:12]}-round-"


def _logs(run_id: str) -> str:
    """Return how the names of a run's logs begin."""
    return f"{run_id[:12]}-log-"


def _all(run_id: str, folder: Path) -> list[Path]:
    """Return the checkpoints of a run, the last one last."""
    return sorted(folder.glob(f"{_rounds(run_id)}*[0-9]")) if folder.is_dir() else []
