"""The index of a sweep's folder: its plan, the runs that ended, the data that are there.

`sweep.json` and the plan that it names are written before the first run, and replaced when the
sweep grows or shrinks. `manifest.jsonl` gets one line per run, appended as the run ends.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.folders import sync
from experiments.rundir import RunError, naming
from experiments.runfiles import sha256_of

SWEEP, PLAN, MANIFEST = "sweep.json", "plan.parquet", "manifest.jsonl"
RUNS, COMPACT, INDEX = "runs", "compact", "index.json"


def read_sweep(folder: Path) -> dict[str, Any]:
    """Return the `sweep.json` of a folder; raise `RunError` when the folder holds no sweep."""
    try:
        sweep = json.loads((folder / SWEEP).read_text())
        for key in ("schema_version", "plan_digest", "factors", "runs"):
            _ = sweep[key]
        _ = sweep["spec"]["name"]
    except FileNotFoundError:
        raise RunError(f"{folder}: no {SWEEP}: not a sweep") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{folder / SWEEP}: unreadable ({type(error).__name__}: {error})"
        raise RunError(message) from error
    return sweep


def plan_file(folder: Path, sweep: Mapping[str, Any]) -> Path:
    """Return the plan that a `sweep.json` names.

    A sweep that grew has several: the one that is named is replaced in one step with its settings,
    and the older ones still say what runs were that are no longer part of it.
    """
    return folder / Path(str(sweep.get("plan", PLAN))).name


def planned_runs(folder: Path, sweep: Mapping[str, Any]) -> set[str]:
    """Return the runs of the plan that a `sweep.json` names; none when it was never written."""
    file = plan_file(folder, sweep)
    if not file.is_file():
        return set()
    try:
        return set(pq.read_table(file, columns=["run_id"])["run_id"].to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise RunError(f"{file}: damaged ({str(error).splitlines()[0]})") from error


@dataclass(frozen=True)
class Receipt:
    """The end of a run: `status` is done or failed; `stage` and `error` say where and why."""

    run_id: str
    status: str
    wall_s: float = 0.0
    cpu_s: float = 0.0
    bytes: int = 0
    stage: str = ""
    error: str = ""


def append(folder: Path, receipt: Receipt) -> None:
    """Append one line in one write: others may read, and the process may be killed at any moment.

    A line that a killed process left unfinished is ended first, so that it cannot swallow this one.
    """
    line = json.dumps(asdict(receipt), separators=(",", ":")) + "\n"
    descriptor = os.open(folder / MANIFEST, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        with naming(folder / MANIFEST):
            os.write(descriptor, (b"\n" if torn else b"") + line.encode())
    finally:
        os.close(descriptor)


def receipts(folder: Path) -> dict[str, Receipt]:
    """Return the last receipt of every run; lines torn by a crash are skipped."""
    return {r.run_id: r for r in _lines(folder)}


def with_receipt(folder: Path, status: str) -> set[str]:
    """Return the runs whose last receipt has this status."""
    return {r.run_id for r in receipts(folder).values() if r.status == status}


def _lines(folder: Path) -> Iterator[Receipt]:
    """Yield the receipts of the manifest in the order in which they were written."""
    file = folder / MANIFEST
    if not file.is_file():
        return
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                yield Receipt(**json.loads(line))
            except (ValueError, TypeError):
                continue


@dataclass(frozen=True)
class Compact:
    """The index of compacted tables; its file is replaced atomically."""

    part: str = ""
    """Folder below `compact` with the tables."""
    runs: frozenset[str] = frozenset()
    """Runs that are in them."""


def compacted(folder: Path) -> Compact:
    """Return the index of compacted tables, an empty one when nothing is compacted.

    Raises `RunError` for an index that cannot be read or names a part that is not there.
    """
    file = folder / COMPACT / INDEX
    while True:
        index = _read_index(file)
        if not index.part or (folder / COMPACT / index.part).is_dir():
            return index
        # The part went after the index was read: then there is a newer index by now.
        if _read_index(file) == index:
            raise RunError(
                f"{file}: names {index.part}, which is not there; "
                "the same `fedstake sweep` plays its runs again"
            )


def _read_index(file: Path) -> Compact:
    try:
        index = json.loads(file.read_text())
        return Compact(Path(str(index["part"])).name, frozenset(index["runs"]))
    except FileNotFoundError:
        return Compact()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{file}: unreadable ({type(error).__name__}: {error}); "
            "the same `fedstake sweep` plays its runs again"
        ) from None


def forget_compact(folder: Path) -> None:
    """Remove an index that `compacted` refuses: its runs have no data then, or their directory."""
    (folder / COMPACT / INDEX).unlink()
    sync(folder / COMPACT)


def with_directory(folder: Path) -> set[str]:
    """Return the runs that have a directory; directories appear whole."""
    try:
        return {entry.name for entry in os.scandir(folder / RUNS)}
    except FileNotFoundError:
        return set()


def holds_only_runs(folder: Path, entries: Iterable[Path]) -> bool:
    """Return whether the entries of a folder are nothing but runs that were copied there."""
    if [entry.name for entry in entries] != [RUNS] or not (folder / RUNS).is_dir():
        return False
    names = (entry.name for entry in (folder / RUNS).iterdir())
    return all(re.fullmatch(r"failures|[0-9a-f]{32}(\.checkpoint)?|\..*", name) for name in names)


def with_data(folder: Path) -> set[str]:
    """Return the runs whose tables exist, in a directory or compacted."""
    return with_directory(folder) | compacted(folder).runs


def damaged(folder: Path, runs: Iterable[str]) -> list[str]:
    """Return those of these runs whose directory does not hold what their own manifest lists."""
    folders = ((run_id, folder / RUNS / run_id) for run_id in runs)
    return [run_id for run_id, run in folders if run.is_dir() and not _is_whole(run)]


def _is_whole(run: Path) -> bool:
    """Return whether all tables of a run have the bytes that its manifest lists."""
    try:
        files = json.loads((run / "manifest.json").read_text())["files"]
        return all(sha256_of(run / name) == file["sha256"] for name, file in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False
