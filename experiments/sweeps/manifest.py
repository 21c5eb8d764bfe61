"""The index of a sweep's folder: its plan, the runs that ended, the data that are there.

`sweep.json` and the plan that it names are written before the first run, and replaced when the
sweep grows or shrinks. `manifest.jsonl` gets one line per run, appended as the run ends.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import TypeAdapter

from experiments.folders import sync
from experiments.recorded import (
    RUN_ID,
    Header,
    Identity,
    Index,
    Natural,
    RunError,
    Seconds,
    check_plan,
    damage,
    read_parquet,
    read_sealed,
    verify,
)
from experiments.rundir import naming
from fedstake.outside import RECORD_BYTES, literal, read_bytes, sealed, shown, unsealed
from sim.scenario import SCHEMA_VERSION

SWEEP, PLAN, MANIFEST = "sweep.json", "plan.parquet", "manifest.jsonl"
RUNS, COMPACT, INDEX = "runs", "compact", "index.json"
TAKEN = frozenset({"run_id", "cell", "seed", "scenario", "row", "status"})
"""Names that no factor has: they are columns of the frames of every sweep."""


def read_sweep(folder: Path) -> dict[str, Any]:
    """Return the `sweep.json` of a folder, its hash and its keys verified.

    Raises `RunError` when the folder holds no sweep, or a damaged or wrong one.
    """
    file = folder / SWEEP
    try:
        sweep = read_sealed(file, Header)
    except FileNotFoundError:
        raise RunError(f"{folder}: no {SWEEP}: not a sweep") from None
    if sweep["schema_version"] != SCHEMA_VERSION:
        return sweep
    seen = set(TAKEN)
    for name in sweep["factors"]:
        if name.casefold() in seen:
            raise RunError(
                f"{file}: factors: {literal(name)!r} stands there twice, or is what another column "
                "is called"
            )
        seen.add(name.casefold())
    return sweep


def plan_file(folder: Path, sweep: Mapping[str, Any]) -> Path:
    """Return the plan that a `sweep.json` names.

    A sweep that grew has several: the one that is named is replaced in one step with its settings,
    and the older ones still say what runs were that are no longer part of it.
    """
    return folder / str(sweep["plan"]["file"])


def read_plan(folder: Path, sweep: Mapping[str, Any]) -> pa.Table:
    """Return the plan that a `sweep.json` names, its hash, columns and values verified."""
    file = plan_file(folder, sweep)
    verify(file, sweep["plan"])
    plan = read_parquet(file)
    check_plan(file, plan, sweep["factors"])
    return plan


def planned_runs(folder: Path, sweep: Mapping[str, Any]) -> set[str]:
    """Return the runs of the plan that a `sweep.json` names; none when it was never written."""
    if not plan_file(folder, sweep).is_file():
        return set()
    return set(read_plan(folder, sweep)["run_id"].to_pylist())


def got_more_seeds(folder: Path, sweep: Mapping[str, Any]) -> bool:
    """Return whether the first plan of a folder has fewer seeds than the one that counts now.

    Somebody may have looked at the first runs before asking for more. A first plan that cannot be
    read counts as such.
    """
    file = folder / PLAN
    if plan_file(folder, sweep) == file or not file.is_file():
        return False
    try:
        first = read_parquet(file)["seed"].unique()
    except (RunError, KeyError):
        return True
    return len(first) < len(read_plan(folder, sweep)["seed"].unique())


@dataclass(frozen=True)
class Receipt:
    """The end of a run: `status` is done or failed; `stage` and `error` say where and why.

    `note` says what was mended: a run that was damaged was played again.
    """

    run_id: Identity
    status: Literal["done", "failed"]
    wall_s: Seconds = 0.0
    cpu_s: Seconds = 0.0
    bytes: Natural = 0
    stage: str = ""
    error: str = ""
    note: str = ""


_RECEIPT = TypeAdapter(Receipt)


def append(folder: Path, receipt: Receipt) -> None:
    """Append one line in one write: others may read, and the process may be killed at any moment.

    A line that a killed process left unfinished is ended first, so that it cannot swallow this one.
    """
    line = json.dumps(sealed(asdict(receipt)), separators=(",", ":")) + "\n"
    descriptor = os.open(folder / MANIFEST, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        with naming(folder / MANIFEST):
            os.write(descriptor, (b"\n" if torn else b"") + line.encode())
    finally:
        os.close(descriptor)


def receipts(folder: Path) -> dict[str, Receipt]:
    """Return the last receipt of every run; lines torn by a crash or damaged are skipped."""
    return {r.run_id: r for r in _lines(folder) if r is not None}


def with_receipt(folder: Path, status: str) -> set[str]:
    """Return the runs whose last receipt has this status."""
    return {r.run_id for r in receipts(folder).values() if r.status == status}


def lost_receipts(folder: Path) -> int:
    """Return how many lines of the manifest are no receipt: torn by a crash, or damaged."""
    return sum(receipt is None for receipt in _lines(folder))


def _lines(folder: Path) -> Iterator[Receipt | None]:
    """Yield the receipts of the manifest in the order of writing; None for a line that is none."""
    file = folder / MANIFEST
    if not file.is_file():
        return
    for line in filter(str.strip, _text_of(file).split("\n")):
        try:
            yield _RECEIPT.validate_python(unsealed(json.loads(line), file))
        except (ValueError, RecursionError):
            yield None


def _text_of(file: Path) -> str:
    return read_bytes(file, RECORD_BYTES).decode(errors="replace")


@dataclass(frozen=True)
class Compact:
    """The index of compacted tables; its file is replaced atomically."""

    part: str = ""
    """Folder below `compact` with the tables."""
    runs: frozenset[str] = frozenset()
    """Runs that are in them."""
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Their files, with size and hash."""

    def check(self, folder: Path) -> None:
        """Raise `RunError` unless the files in the sweep's folder are the recorded ones."""
        for name, listed in self.files.items():
            verify(folder / COMPACT / self.part / name, listed)


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
        index = read_sealed(file, Index)
    except FileNotFoundError:
        return Compact()
    except RunError as error:
        raise RunError(f"{error}; the same `fedstake sweep` plays its runs again") from None
    return Compact(index["part"], frozenset(index["runs"]), index["files"])


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
    run = rf"failures|{RUN_ID.pattern}(\.checkpoint|\.failed)?|\..*"
    return all(re.fullmatch(run, name) for name in names)


def with_data(folder: Path) -> set[str]:
    """Return the runs whose tables exist, in a directory or compacted."""
    return with_directory(folder) | compacted(folder).runs


def damaged(folder: Path, runs: Iterable[str]) -> dict[str, str]:
    """Return what is wrong with those of these runs whose directory is not what was recorded."""
    folders = {run_id: folder / RUNS / run_id for run_id in runs}
    found = {run_id: damage(run, run_id) for run_id, run in folders.items() if run.is_dir()}
    return {
        run_id: wrong.replace(shown(folders[run_id]), run_id[:12])
        for run_id, wrong in found.items()
        if wrong
    }
