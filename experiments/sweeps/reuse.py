"""Take over finished runs that lie in a folder already, or in another one."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from experiments.recorded import MANIFEST, RUN_ID, SCENARIO, RunError, read_manifest
from experiments.rundir import whole_folder
from experiments.runresult import RunResult, open_run
from experiments.sweeps import manifest
from experiments.sweeps.manifest import RUNS


def find(folder: Path, wanted: Iterable[str]) -> dict[str, Path]:
    """Return where a folder holds these runs, by run id: not checked yet.

    The folder may be a sweep's, its `runs`, one run, or any folder of runs. Raises `RunError` for
    one that does not exist or holds no run at all.
    """
    if not folder.is_dir():
        raise RunError(f"--reuse {folder}: no such folder")
    places = dict(_runs(folder))
    if not places:
        raise RunError(f"--reuse {folder}: holds no runs; name a sweep's folder or one of runs")
    return {run_id: places[run_id] for run_id in wanted if run_id in places}


def _runs(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (run id, directory) of the runs in a folder or one or two steps below it."""
    for path in (folder, *_folders(folder), *_folders(folder / RUNS)):
        if os.path.isfile(path / MANIFEST):
            yield _run_id(path), path


def _run_id(path: Path) -> str:
    """Return the id of a run by the name of its directory, elsewhere by its manifest.

    Whoever verifies it says what is wrong with it.
    """
    if RUN_ID.fullmatch(path.name):
        return path.name
    try:
        return read_manifest(path)["run_id"]
    except RunError:
        return path.name


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, without those that are being written."""
    return sorted(path for path in folder.glob("[!.]*") if path.is_dir())


def left_behind(folder: Path, wanted: Iterable[str]) -> int:
    """Return how many of these runs a sweep's folder has in compacted tables only."""
    with contextlib.suppress(RunError):
        gone = manifest.compacted(folder).runs - manifest.with_directory(folder)
        return len(gone.intersection(wanted))
    return 0


def verified(run_id: str, path: Path) -> RunResult:
    """Return a run whose files are what was recorded; raise `RunError` otherwise."""
    result = open_run(path)
    if result.run_id != run_id:
        raise RunError(f"{path}: holds another run ({result.run_id[:12]}, not {run_id[:12]})")
    result.verify()
    return result


def take(result: RunResult, runs: Path) -> RunResult:
    """Put a verified run into a folder of runs: as hard links, as copies on another disk."""
    target = runs / result.run_id
    with whole_folder(target) as partial:
        for name in (*result.manifest["files"], SCENARIO, MANIFEST):
            _link(result.path / name, partial / name)
    return RunResult(target)


def _link(source: Path, target: Path) -> None:
    """Make a second name of a file, or a copy where that is not possible."""
    if not source.is_symlink():
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
